# Toolchain file: builds for Windows on x86-64 with mingw-w64's g++ (the variant with POSIX threads, which std::thread needs),
# on another system.
#
# DS_WINDOWS_DEPS is the folder that cmake/tools/windows_deps.sh fills: the headers of third parties and a PCRE2 for
# Windows. Headers and libraries are looked for there and in mingw-w64's own folders only, never among the build machine's.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc-posix)
set(CMAKE_CXX_COMPILER x86_64-w64-mingw32-g++-posix)
set(CMAKE_RC_COMPILER x86_64-w64-mingw32-windres)

set(DS_WINDOWS_DEPS "" CACHE PATH "What cmake/tools/windows_deps.sh made")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES DS_WINDOWS_DEPS)
set(CMAKE_FIND_ROOT_PATH ${DS_WINDOWS_DEPS} /usr/x86_64-w64-mingw32)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

# What runs the programs that are built: tests and samples. Without it they are built only.
find_program(DS_WINE NAMES wine64 wine PATHS /usr/lib/wine)
if(DS_WINE)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${DS_WINE})
endif()

# Programs bring the compiler's runtime along, as libraries do by DS_STATIC_RUNTIME.
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
