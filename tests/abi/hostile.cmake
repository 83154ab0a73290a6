# Hosts that make life hard. They all open one tiny model, which a fixture writes.
set(abi_model ${CMAKE_CURRENT_BINARY_DIR}/tiny.dsm)
set(abi_definitions ABI_MODEL="${abi_model}" ABI_PLUGIN_DIR="${DS_PLUGIN_DIR}"
  REAL_LIBRARY="$<TARGET_FILE:deepseam>")
add_library(abi_host STATIC hostile/host.cpp)
target_include_directories(abi_host PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_compile_definitions(abi_host PUBLIC ${abi_definitions})
target_link_libraries(abi_host PUBLIC deepseam PRIVATE ds_warnings)

add_executable(abi_make_model hostile/make_model.cpp)
target_link_libraries(abi_make_model PRIVATE abi_host ds_warnings)
add_test(NAME abi_make_model COMMAND abi_make_model ${abi_model})
set_tests_properties(abi_make_model PROPERTIES FIXTURES_SETUP abi_model LABELS "abi;tsan")

foreach(name thread lifetime struct)
  ds_test(abi_hostile_${name} SOURCES hostile/${name}_test.cpp DEPS abi_host LABELS abi tsan)
  set_tests_properties(abi_hostile_${name} PROPERTIES FIXTURES_REQUIRED abi_model)
endforeach()

target_include_directories(abi_hostile_struct PRIVATE ${CMAKE_SOURCE_DIR}/lib)  # the list of structs

foreach(name model run status adapter)
  ds_test(abi_api_${name} SOURCES api_${name}_test.cpp DEPS abi_host LABELS abi tsan)
  set_tests_properties(abi_api_${name} PROPERTIES FIXTURES_REQUIRED abi_model)
endforeach()
# It registers the reference backend with faults of its own.
target_sources(abi_api_status PRIVATE ${CMAKE_SOURCE_DIR}/backends/ref/plugin.cpp)
target_link_libraries(abi_api_status PRIVATE ds_backend_ref)

add_executable(hostile_process hostile/process_test.cpp)
target_include_directories(hostile_process PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/include)
target_compile_definitions(hostile_process PRIVATE ${abi_definitions})
target_link_libraries(hostile_process PRIVATE ds_warnings Threads::Threads ${CMAKE_DL_LIBS})
add_dependencies(hostile_process deepseam)
# The second number of times is for `./check full`, which runs the tests labelled slow as well.
foreach(case exit:5:100 reload:10:100 cycles:100:10000 copies:1: locale:1: onednn:1: amx:1:)
  string(REPLACE ":" ";" parts ${case})
  list(GET parts 0 mode)
  list(GET parts 1 times)
  list(GET parts 2 more)
  add_test(NAME abi_hostile_${mode} COMMAND hostile_process ${mode} ${times})
  set_tests_properties(abi_hostile_${mode} PROPERTIES LABELS abi SKIP_RETURN_CODE 77 TIMEOUT 600
    FIXTURES_REQUIRED abi_model)
  if(more)
    add_test(NAME abi_hostile_${mode}_${more} COMMAND hostile_process ${mode} ${more})
    set_tests_properties(abi_hostile_${mode}_${more} PROPERTIES LABELS "abi;slow" TIMEOUT 1200
      FIXTURES_REQUIRED abi_model)
  endif()
endforeach()

# One arena of malloc: with more, what is measured is how many of them threads came to use. Sanitizers keep freed memory.
foreach(name cycles cycles_10000)
  set_tests_properties(abi_hostile_${name} PROPERTIES ENVIRONMENT MALLOC_ARENA_MAX=1)
  set_property(TEST abi_hostile_${name} APPEND PROPERTY LABELS plain)
endforeach()
set_tests_properties(abi_hostile_cycles_10000 PROPERTIES TIMEOUT 3600)

# The leak sanitizer runs while threads do, and cannot always read the thread-local memory of those.
set_tests_properties(abi_hostile_exit PROPERTIES ENVIRONMENT "LSAN_OPTIONS=use_tls=0")

# A locale with a decimal comma, compiled for the test where the sources of locales are installed.
set(locales ${CMAKE_CURRENT_BINARY_DIR}/locales)
add_test(NAME abi_make_locale COMMAND sh -c
  "mkdir -p ${locales} && { command -v localedef >/dev/null || exit 0; localedef -i de_DE -f UTF-8 ${locales}/de_DE.UTF-8 || :; }")
set_tests_properties(abi_make_locale PROPERTIES LABELS abi FIXTURES_SETUP abi_locale)
set_tests_properties(abi_hostile_locale PROPERTIES ENVIRONMENT "LOCPATH=${locales}"
  FIXTURES_REQUIRED "abi_model;abi_locale")
