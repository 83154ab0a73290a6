# The samples of every language against those in C.
if(TARGET sample_01_hello AND TARGET ds_recorder)
  foreach(language csharp-mono csharp-dotnet rust go)
    string(REGEX MATCH "^[a-z]+" folder ${language})
    ds_python_test(samples_${language} SCRIPT ${CMAKE_CURRENT_LIST_DIR}/samples_test.py LABELS bindings plain
      ARGS ${language} ${CMAKE_BINARY_DIR} ${CMAKE_BINARY_DIR}/bindings/${folder})
  endforeach()
endif()
