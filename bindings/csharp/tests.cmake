# The C# binding under mono and under .NET; run.py says what each group is, and skips where a tool is not there.
if(Python3_FOUND AND TARGET ds_recorder)
  foreach(case layout:mono layout:dotnet all:mono all:dotnet cycles:mono cycles:dotnet reload:mono exit:mono exit:dotnet)
    string(REPLACE ":" ";" parts ${case})
    list(GET parts 0 group)
    list(GET parts 1 vm)
    set(name csharp_${group}_${vm})
    ds_python_test(${name} SCRIPT ${CMAKE_CURRENT_LIST_DIR}/run.py LABELS bindings plain
      ARGS ${group} ${vm} --build ${CMAKE_BINARY_DIR} --out ${CMAKE_CURRENT_BINARY_DIR}/csharp)
    set_tests_properties(${name} PROPERTIES FIXTURES_REQUIRED abi_model)
  endforeach()
  set_tests_properties(csharp_cycles_mono csharp_cycles_dotnet PROPERTIES TIMEOUT 3600)
endif()
