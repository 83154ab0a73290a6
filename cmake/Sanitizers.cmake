# -DDS_SANITIZE=address,undefined or =thread instruments library, plugins, samples and tests alike.
if(DS_SANITIZE)
  add_compile_options(-fsanitize=${DS_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${DS_SANITIZE})
  set(DS_STATIC_RUNTIME OFF CACHE BOOL "" FORCE)
endif()
if(DS_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
