# The library that bindings are tested with: it notes which functions succeeded, and passes all on to the real one. Of the
# same name and version as that, in a folder of its own.
if(Python3_FOUND AND UNIX AND NOT DS_SANITIZE)
  set(recorder ${CMAKE_CURRENT_BINARY_DIR}/recorder.c)
  add_custom_command(OUTPUT ${recorder} VERBATIM
    COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_LIST_DIR}/recorder/recorder.py
      ${CMAKE_SOURCE_DIR}/bindings/abi.json ${recorder}
    DEPENDS ${CMAKE_CURRENT_LIST_DIR}/recorder/recorder.py ${CMAKE_SOURCE_DIR}/bindings/abi.json)
  add_library(ds_recorder SHARED ${recorder})
  target_include_directories(ds_recorder PRIVATE ${CMAKE_SOURCE_DIR}/include)
  target_compile_definitions(ds_recorder PRIVATE DS_BUILD _GNU_SOURCE REAL_LIBRARY="$<TARGET_FILE:deepseam>")
  set_target_properties(ds_recorder PROPERTIES OUTPUT_NAME deepseam C_STANDARD 11 VERSION ${PROJECT_VERSION}
    SOVERSION ${DS_ABI_MAJOR} LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/recorder)
  target_link_libraries(ds_recorder PRIVATE Threads::Threads ${CMAKE_DL_LIBS})
  ds_binary_policy(ds_recorder deepseam.map.in)
  add_dependencies(ds_recorder deepseam)
endif()
add_library(talking MODULE ${CMAKE_CURRENT_LIST_DIR}/recorder/talking.c)
target_include_directories(talking PRIVATE ${CMAKE_SOURCE_DIR}/include)
target_link_libraries(talking PRIVATE ds_warnings)
set_target_properties(talking PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/recorder)

# The programs of this folder and the C samples together call everything.
if(TARGET ds_recorder AND TARGET sample_01_hello)
  set(programs abi_api_model abi_api_run abi_api_status abi_api_adapter abi_hostile_lifetime abi_hostile_thread)
  file(GLOB samples ${CMAKE_SOURCE_DIR}/samples/c/[0-9][0-9]_*.c)
  foreach(source IN LISTS samples)
    get_filename_component(name ${source} NAME_WE)
    list(APPEND programs sample_${name})
  endforeach()
  list(TRANSFORM programs PREPEND "$<TARGET_FILE:" OUTPUT_VARIABLE files)
  list(TRANSFORM files APPEND ">")
  ds_python_test(abi_calls SCRIPT ${CMAKE_CURRENT_LIST_DIR}/recorder/calls_test.py LABELS abi plain
    ARGS ${CMAKE_BINARY_DIR} ${files})
  set_tests_properties(abi_calls PROPERTIES FIXTURES_REQUIRED abi_model)
endif()
