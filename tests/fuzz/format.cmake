# Parsers of model files. Seeds are written by a program, so that no binary file lies in the repository.
add_executable(fuzz_format_seeds ${CMAKE_CURRENT_LIST_DIR}/format_seeds.cpp)
target_link_libraries(fuzz_format_seeds PRIVATE ds_warnings ds_format)
target_include_directories(fuzz_format_seeds PRIVATE ${CMAKE_SOURCE_DIR}/tests)
set(seeds ${CMAKE_CURRENT_BINARY_DIR}/seeds)
set(stamp ${CMAKE_CURRENT_BINARY_DIR}/format_seeds.stamp)
add_custom_command(OUTPUT ${stamp}
  COMMAND ${CMAKE_COMMAND} -E make_directory ${seeds}/safetensors ${seeds}/config ${seeds}/dsm
    ${seeds}/quant_config ${seeds}/gguf ${seeds}/ollama ${seeds}/lora
  COMMAND fuzz_format_seeds ${seeds}
  COMMAND ${CMAKE_COMMAND} -E touch ${stamp}
  DEPENDS fuzz_format_seeds VERBATIM)
add_custom_target(fuzz_format_corpus DEPENDS ${stamp})
foreach(name safetensors config quant_config dsm gguf ollama lora)
  ds_fuzz(${name} SOURCES ${CMAKE_CURRENT_LIST_DIR}/${name}_fuzz.cpp DEPS ds_format SEEDS ${seeds}/${name}
    DEPENDS fuzz_format_corpus)
endforeach()
