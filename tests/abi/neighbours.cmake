# The library among others: copies of itself, and a host with libraries that its plugins also use.
find_library(DS_FLATBUFFERS_LIBRARY NAMES libflatbuffers.so)
find_library(DS_DNNL_LIBRARY NAMES libdnnl.so.3 libdnnl.so.2)  # what the plugin finds
mark_as_advanced(DS_FLATBUFFERS_LIBRARY DS_DNNL_LIBRARY)
if(UNIX AND NOT APPLE AND Python3_FOUND AND DS_FLATBUFFERS_LIBRARY)
  set(other ${CMAKE_CURRENT_BINARY_DIR}/other_onednn.c)
  add_custom_command(OUTPUT ${other} VERBATIM
    COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_LIST_DIR}/neighbours/other_onednn.py "${DS_DNNL_LIBRARY}" ${other}
    DEPENDS ${CMAKE_CURRENT_LIST_DIR}/neighbours/other_onednn.py)
  add_library(ds_other_onednn SHARED ${other})
  target_compile_options(ds_other_onednn PRIVATE -fno-builtin -fno-sanitize=all)
  set_target_properties(ds_other_onednn PROPERTIES C_VISIBILITY_PRESET default)

  add_executable(abi_neighbours neighbours/neighbours_test.cpp)
  target_include_directories(abi_neighbours PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/include)
  target_compile_definitions(abi_neighbours PRIVATE ${abi_definitions})
  target_link_libraries(abi_neighbours PRIVATE ds_warnings ds_other_onednn ${DS_FLATBUFFERS_LIBRARY}
    Threads::Threads ${CMAKE_DL_LIBS})
  target_include_directories(abi_neighbours SYSTEM PRIVATE ${DS_FLATBUFFERS_INCLUDE})
  add_dependencies(abi_neighbours deepseam)
  add_test(NAME abi_neighbours COMMAND abi_neighbours)
  # Not under a sanitizer: two copies of a library are two copies of each global that it watches.
  set_tests_properties(abi_neighbours PROPERTIES LABELS "abi;plain" TIMEOUT 300 FIXTURES_REQUIRED abi_model)
endif()
