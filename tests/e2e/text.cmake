# Tokenizer ids and chat templates against other implementations. The Python tests skip with a reason where the packages
# or the published vocabularies are not at hand: DS_TOKENIZERS names the folder that holds them.
add_executable(tokenizer_driver ${CMAKE_CURRENT_LIST_DIR}/tokenizer_driver.cpp)
target_link_libraries(tokenizer_driver PRIVATE ds_text ds_base ds_warnings)

find_package(Python3 COMPONENTS Interpreter)
set(DS_TOKENIZERS "${CMAKE_SOURCE_DIR}/../shared/tokenizers" CACHE PATH "Folder with deepseek_v2/ and deepseek_v3/")
if(Python3_FOUND)
  foreach(name tokenizer_parity template_parity)
    add_test(NAME ${name} COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/${name}.py
             --driver $<TARGET_FILE:tokenizer_driver> --tokenizers ${DS_TOKENIZERS})
    set_tests_properties(${name} PROPERTIES LABELS e2e SKIP_RETURN_CODE 77 TIMEOUT 900)
  endforeach()
endif()
