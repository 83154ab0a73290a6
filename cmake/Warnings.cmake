# ds_warnings: what every target of ours is compiled with. Warnings are errors.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 99)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

add_library(ds_warnings INTERFACE)
target_compile_options(ds_warnings INTERFACE -Wall -Wextra -Wshadow $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor> -Werror
  $<$<CXX_COMPILER_ID:GNU>:-fno-gnu-unique>
  # g++ 12 sees overlapping copies in every `"text" + std::string(…)` (its bug 105651).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
  # mingw-w64's g++ takes the format of our own functions for Microsoft's printf, which they do not use; the formats are
  # checked where the library is built for another system.
  $<$<BOOL:${MINGW}>:-Wno-format>
  -fno-math-errno -ffp-contract=off)
target_compile_definitions(ds_warnings INTERFACE _FILE_OFFSET_BITS=64)
