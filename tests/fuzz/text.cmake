# The tokenizer.json parser; the seeds come from corpus/tokenizer_json_seeds.py.
ds_fuzz(tokenizer_json SOURCES ${CMAKE_CURRENT_LIST_DIR}/tokenizer_json_fuzz.cpp DEPS ds_text)
