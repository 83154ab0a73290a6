# ds_module(name SOURCES ... DEPS ... PRIVATE ...): one folder of lib/ as a static library ds_<name>. DEPS are public.
function(ds_module name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS;PRIVATE" ${ARGN})
  add_library(ds_${name} STATIC ${arg_SOURCES})
  target_include_directories(ds_${name} PUBLIC ${CMAKE_SOURCE_DIR}/lib ${CMAKE_SOURCE_DIR}/include)
  target_link_libraries(ds_${name} PUBLIC ${arg_DEPS} PRIVATE ds_warnings ${arg_PRIVATE})
endfunction()

# ds_test(name SOURCES ... DEPS ... ARGS ... LABELS ...): a doctest program, run by ctest.
function(ds_test name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS;LABELS" ${ARGN})
  add_executable(${name} ${arg_SOURCES} ${CMAKE_SOURCE_DIR}/tests/unit/main.cpp)
  target_link_libraries(${name} PRIVATE ds_warnings ds_dep_doctest ${arg_DEPS})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT 600)
endfunction()
