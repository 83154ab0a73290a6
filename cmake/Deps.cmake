# Third-party packages, all from the distribution. The core links none of them as a shared library: RapidJSON, xxHash
# and FlatBuffers are headers, PCRE2 is linked in.
if(CMAKE_CROSSCOMPILING AND WIN32 AND NOT EXISTS "${DS_WINDOWS_DEPS}/lib/libpcre2-8.a")
  message(FATAL_ERROR "DS_WINDOWS_DEPS is \"${DS_WINDOWS_DEPS}\", which holds no PCRE2 for Windows: run "
    "cmake/tools/windows_deps.sh FOLDER, which fetches and compiles it, and pass -DDS_WINDOWS_DEPS=FOLDER")
endif()
find_package(Threads REQUIRED)
set(Python3_FIND_STRATEGY LOCATION)  # the python3 of the PATH, as ./check prepared it
find_package(Python3 COMPONENTS Interpreter)
find_program(DS_FLATC flatc REQUIRED)
find_path(DS_RAPIDJSON_INCLUDE rapidjson/reader.h REQUIRED)
find_path(DS_XXHASH_INCLUDE xxhash.h REQUIRED)
find_path(DS_FLATBUFFERS_INCLUDE flatbuffers/flatbuffers.h REQUIRED)
find_path(DS_PCRE2_INCLUDE pcre2.h REQUIRED)
find_library(DS_PCRE2_LIBRARY NAMES libpcre2-8.a pcre2-8 REQUIRED)
find_path(DS_DOCTEST_INCLUDE doctest/doctest.h)

foreach(name rapidjson xxhash flatbuffers pcre2 doctest)
  string(TOUPPER ${name} upper)
  add_library(ds_dep_${name} INTERFACE)
  if(DS_${upper}_INCLUDE)
    target_include_directories(ds_dep_${name} SYSTEM INTERFACE ${DS_${upper}_INCLUDE})
  endif()
endforeach()
target_link_libraries(ds_dep_pcre2 INTERFACE ${DS_PCRE2_LIBRARY})
target_compile_definitions(ds_dep_pcre2 INTERFACE PCRE2_CODE_UNIT_WIDTH=8 PCRE2_STATIC)
# Library code may not import __assert_fail, whatever the build type; doctest is for tests only.
# (As an option, because CMake drops definitions of function-like macros.)
target_compile_options(ds_dep_flatbuffers INTERFACE "-DFLATBUFFERS_ASSERT(x)=static_cast<void>(0)")
target_compile_definitions(ds_dep_flatbuffers INTERFACE FLATBUFFERS_LOCALE_INDEPENDENT=0)

# ds_schema(target file.fbs): generates file_generated.h into the build tree and adds it to target's includes.
function(ds_schema target schema)
  get_filename_component(name ${schema} NAME_WE)
  set(folder ${CMAKE_BINARY_DIR}/generated)
  add_custom_command(OUTPUT ${folder}/${name}_generated.h
    COMMAND ${DS_FLATC} --cpp --scoped-enums -o ${folder} ${CMAKE_CURRENT_SOURCE_DIR}/${schema}
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${schema} VERBATIM)
  add_custom_target(${target}_${name}_fbs DEPENDS ${folder}/${name}_generated.h)
  add_dependencies(${target} ${target}_${name}_fbs)
  target_include_directories(${target} SYSTEM PUBLIC ${folder})
  target_link_libraries(${target} PUBLIC ds_dep_flatbuffers)
endfunction()
