# The graph that crosses the plugin border. Seeds are made by graph_seeds at build time: whole models in small.
add_executable(fuzz_graph_seeds ${CMAKE_CURRENT_LIST_DIR}/graph_seeds.cpp)
target_link_libraries(fuzz_graph_seeds PRIVATE ds_warnings ds_model)
target_include_directories(fuzz_graph_seeds PRIVATE ${CMAKE_SOURCE_DIR}/tests)
set(seeds ${CMAKE_BINARY_DIR}/fuzz_seeds/graph)
add_custom_command(OUTPUT ${seeds}/done
  COMMAND ${CMAKE_COMMAND} -E make_directory ${seeds}
  COMMAND fuzz_graph_seeds ${seeds}
  COMMAND ${CMAKE_COMMAND} -E touch ${seeds}/done
  DEPENDS fuzz_graph_seeds VERBATIM)
add_custom_target(fuzz_graph_corpus DEPENDS ${seeds}/done)
ds_fuzz(graph SOURCES ${CMAKE_CURRENT_LIST_DIR}/graph.cpp DEPS ds_graph DEPENDS fuzz_graph_corpus SEEDS
  ${seeds}/v2.graph ${seeds}/v3.graph ${seeds}/mtp.graph ${seeds}/mixed.graph)
