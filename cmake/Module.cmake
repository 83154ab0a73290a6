# How modules, plugins and tests of this repository are declared.

file(STRINGS ${CMAKE_SOURCE_DIR}/include/deepseam/version.h _lines REGEX "define DSB?_ABI_MAJOR")
foreach(_line IN LISTS _lines)
  if(_line MATCHES "define (DSB?_ABI_MAJOR) ([0-9]+)")
    set(${CMAKE_MATCH_1} ${CMAKE_MATCH_2})
  endif()
endforeach()

# Where the library lies below a prefix, in the build tree and in an installed one; plugins and the embedded model are in its
# subfolder deepseam. Windows looks for a library beside the program that needs it, so there it is where programs are.
set(DS_BUILD_LIBRARY_DIR ${CMAKE_BINARY_DIR}/lib)
set(DS_INSTALL_LIBRARY_DIR ${CMAKE_INSTALL_LIBDIR})
set(DS_SYSTEM posix)  # the end of the names of files that know the operating system
if(WIN32)
  set(DS_SYSTEM win)
  set(DS_BUILD_LIBRARY_DIR ${CMAKE_BINARY_DIR}/bin)
  set(DS_INSTALL_LIBRARY_DIR ${CMAKE_INSTALL_BINDIR})
  set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endif()
# Where plugins and their manifests are built; the library looks for them at the same place beside itself.
set(DS_PLUGIN_DIR ${DS_BUILD_LIBRARY_DIR}/deepseam/${DSB_ABI_MAJOR})

# Where tests find the tiny checkpoints (fixture tiny_models writes them) and what the oracle computed from them.
set(DS_TINY_DIR ${CMAKE_BINARY_DIR}/tiny)
set(DS_GOLDEN_DIR ${CMAKE_SOURCE_DIR}/tests/oracle/golden)

# ds_module(name SOURCES ... DEPS ... PRIVATE ...): one folder of lib/ as a static library ds_<name>. DEPS are public.
function(ds_module name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS;PRIVATE" ${ARGN})
  add_library(ds_${name} STATIC ${arg_SOURCES})
  target_include_directories(ds_${name} PUBLIC ${CMAKE_SOURCE_DIR}/lib ${CMAKE_SOURCE_DIR}/include)
  target_link_libraries(ds_${name} PUBLIC ${arg_DEPS} PRIVATE ds_warnings ${arg_PRIVATE})
endfunction()

# ds_binary_policy(target map): how a shared library of ours is linked. Exports what `map` names and nothing else, binds
# its own symbols to itself, resolves everything at load, and brings its own C++ runtime unless DS_STATIC_RUNTIME is off.
# `map` is a file in cmake/, deepseam.map.in or backend.map.in.
function(ds_binary_policy target map)
  if(APPLE)
    return()
  endif()
  if(WIN32)  # there __declspec says what is exported, and every library binds its own names to itself
    set_target_properties(${target} PROPERTIES PREFIX "")
    if(DS_STATIC_RUNTIME)
      target_link_options(${target} PRIVATE -static)
    endif()
    return()
  endif()
  get_filename_component(name ${map} NAME_WLE)
  configure_file(${CMAKE_SOURCE_DIR}/cmake/${map} ${CMAKE_BINARY_DIR}/${name} @ONLY)
  target_link_options(${target} PRIVATE -Wl,--version-script=${CMAKE_BINARY_DIR}/${name} -Wl,-Bsymbolic
    -Wl,-z,relro,-z,now -Wl,--as-needed)
  if(NOT DS_SANITIZE)
    target_link_options(${target} PRIVATE -Wl,-z,defs)
  endif()
  if(DS_STATIC_RUNTIME)
    target_link_options(${target} PRIVATE -static-libstdc++ -static-libgcc)
  endif()
  set_target_properties(${target} PROPERTIES LINK_DEPENDS ${CMAKE_SOURCE_DIR}/cmake/${map})
endfunction()

# ds_import_library(target): on Windows, what other compilers link instead of a shared library of ours: lib/NAME.lib, made from
# the list of exports that the linker wrote. llvm-dlltool writes it as Microsoft's tools do.
function(ds_import_library target)
  if(NOT MINGW)
    return()
  endif()
  find_program(DS_DLLTOOL NAMES llvm-dlltool-14 llvm-dlltool)
  get_target_property(name ${target} OUTPUT_NAME)
  if(NOT name)
    set(name ${target})
  endif()
  set(stem ${CMAKE_BINARY_DIR}/lib/${name})
  set_target_properties(${target} PROPERTIES ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
  target_link_options(${target} PRIVATE -Wl,--output-def,${stem}.def)
  if(DS_DLLTOOL)
    add_custom_command(TARGET ${target} POST_BUILD VERBATIM BYPRODUCTS ${stem}.lib
      COMMAND ${DS_DLLTOOL} -m i386:x86-64 -D ${name}.dll -d ${stem}.def -l ${stem}.lib)
    install(FILES ${stem}.lib DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT dev)
  endif()
endfunction()

# ds_unloadable(target): a C++ library that may be unloaded gives back what its own C++ runtime took.
function(ds_unloadable target)
  if((UNIX OR MINGW) AND NOT APPLE AND DS_STATIC_RUNTIME AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    target_sources(${target} PRIVATE ${CMAKE_SOURCE_DIR}/lib/base/unload.cpp)
  endif()
endfunction()

# ds_paths(variable DEFINITIONS...): definitions of the form NAME="/a/path" for the system that is built for. A program that is
# built here for Windows and run by Wine sees this machine's files on its drive Z.
function(ds_paths variable)
  set(definitions ${ARGN})
  if(CMAKE_CROSSCOMPILING AND WIN32)
    string(REGEX REPLACE "=\"(/|\\$<TARGET_FILE)" "=\"Z:\\1" definitions "${definitions}")
  endif()
  set(${variable} ${definitions} PARENT_SCOPE)
endfunction()

# ds_test(name SOURCES ... DEPS ... LABELS ... DEFINITIONS ...): a doctest program, run by ctest in the build tree.
function(ds_test name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS;LABELS;DEFINITIONS" ${ARGN})
  if(NOT TARGET ds_test_main)
    add_library(ds_test_main OBJECT ${CMAKE_SOURCE_DIR}/tests/unit/main.cpp)
    target_link_libraries(ds_test_main PUBLIC ds_dep_doctest PRIVATE ds_warnings)
  endif()
  add_executable(${name} ${arg_SOURCES} $<TARGET_OBJECTS:ds_test_main>)
  target_link_libraries(${name} PRIVATE ds_warnings ds_dep_doctest ${arg_DEPS})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  ds_paths(definitions ${arg_DEFINITIONS})
  target_compile_definitions(${name} PRIVATE ${definitions})
  # Half of the compiler's time for instrumented assertions is spent on optimising them; what they test is optimised.
  if("unit" IN_LIST arg_LABELS AND (DS_SANITIZE OR CMAKE_CROSSCOMPILING))
    target_compile_options(${name} PRIVATE -O0)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT 600 SKIP_RETURN_CODE 77)
endfunction()

# ds_golden_test(...): as ds_test, on the tiny checkpoints. The program is compiled with DS_TINY_DIR and DS_GOLDEN_DIR.
function(ds_golden_test name)
  cmake_parse_arguments(arg "" "" "LABELS;DEFINITIONS" ${ARGN})
  if(NOT arg_LABELS)
    set(arg_LABELS golden)
  endif()
  ds_test(${name} ${arg_UNPARSED_ARGUMENTS} LABELS ${arg_LABELS} DEFINITIONS ${arg_DEFINITIONS}
    DS_TINY_DIR="${DS_TINY_DIR}" DS_GOLDEN_DIR="${DS_GOLDEN_DIR}")
  set_tests_properties(${name} PROPERTIES FIXTURES_REQUIRED tiny_models)
endfunction()

# ds_python_test(name SCRIPT file ARGS ... LABELS ... [TINY]): exit status 0 passed, 77 skipped (the last line says why).
# TINY: needs the tiny checkpoints. The environment has DS_TINY_DIR, DS_GOLDEN_DIR, and writes no __pycache__.
function(ds_python_test name)
  cmake_parse_arguments(arg "TINY" "SCRIPT" "ARGS;LABELS" ${ARGN})
  if(CMAKE_CROSSCOMPILING AND "${arg_ARGS}" MATCHES "TARGET_FILE")
    return()  # a program of another system cannot be called from a script of this one
  endif()
  get_filename_component(script ${arg_SCRIPT} ABSOLUTE)
  add_test(NAME ${name} COMMAND ${Python3_EXECUTABLE} -B ${script} ${arg_ARGS})
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT 600 SKIP_RETURN_CODE 77
    ENVIRONMENT "DS_TINY_DIR=${DS_TINY_DIR};DS_GOLDEN_DIR=${DS_GOLDEN_DIR};PYTHONDONTWRITEBYTECODE=1")
  if(arg_TINY)
    set_tests_properties(${name} PROPERTIES FIXTURES_REQUIRED tiny_models)
  endif()
endfunction()

# ds_fuzz(name SOURCES ... DEPS ... SEEDS files or folders ... DEPENDS targets ...): the program fuzz_<name> from a file
# with LLVMFuzzerTestOneInput. With DS_FUZZ it is a libFuzzer program; otherwise tests/fuzz/replay.cpp runs it on the
# seeds and on damage done to them, as a test. Without SEEDS: tests/fuzz/corpus/<name>.
function(ds_fuzz name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS;SEEDS;DEPENDS" ${ARGN})
  if(NOT arg_SEEDS)
    set(arg_SEEDS ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name})
  endif()
  add_executable(fuzz_${name} ${arg_SOURCES})
  target_link_libraries(fuzz_${name} PRIVATE ds_warnings ${arg_DEPS})
  target_include_directories(fuzz_${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  if(arg_DEPENDS)
    add_dependencies(fuzz_${name} ${arg_DEPENDS})
  endif()
  if(DS_FUZZ)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    string(REPLACE ";" "\n" seeds "${arg_SEEDS}")
    file(WRITE ${CMAKE_BINARY_DIR}/tests/fuzz/fuzz_${name}.seeds "${seeds}\n")
    return()
  endif()
  target_sources(fuzz_${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/fuzz/replay.cpp)
  file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/fuzz_${name}_run)
  add_test(NAME fuzz_${name} COMMAND fuzz_${name} ${arg_SEEDS})
  set_tests_properties(fuzz_${name} PROPERTIES LABELS fuzz TIMEOUT 900
    WORKING_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/fuzz_${name}_run)
endfunction()
