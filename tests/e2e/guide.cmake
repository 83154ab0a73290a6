# The code in the guide for programs that embed the library.
if(TARGET ds_recorder)
  ds_python_test(guide_embedding SCRIPT ${CMAKE_CURRENT_LIST_DIR}/guide_test.py LABELS sample plain ARGS ${CMAKE_BINARY_DIR})
endif()
