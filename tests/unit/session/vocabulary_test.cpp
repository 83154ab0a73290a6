// A token table that can be read: what verifying says about it.
#include "session/vocabulary.h"

#include <doctest/doctest.h>

#include "text/utf8.h"
#include "unit/format/gguf_samples.h"
#include "unit/format/samples.h"

using namespace deepseam;
using namespace deepseam::session;

namespace {

const std::vector<std::string> kFim = {"<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"};

// A GGUF file with these control tokens behind those of the 256 bytes, and with nothing else that a model needs but
// `vocab` rows.
struct Table {
  std::vector<std::string> tokens = {"<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"};
  int64_t vocab = 300;
  std::string chat_template;
  std::vector<int64_t> ends = {257};
  uint32_t bos = 256;

  ModelFiles files() const {
    test::GgufBuilder b;
    b.text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", "deepseek-v3");
    std::vector<std::string> all;
    for (uint32_t byte = 0, other = 256; byte < 256; ++byte) {
      const bool plain = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD);
      all.emplace_back();
      text::append_utf8(plain ? byte : other++, &all.back());
    }
    std::vector<int32_t> types(all.size(), 1);
    all.insert(all.end(), tokens.begin(), tokens.end());
    types.resize(all.size(), 3);
    b.texts("tokenizer.ggml.tokens", all).integers("tokenizer.ggml.token_type", types);
    b.texts("tokenizer.ggml.merges", {}).u32("tokenizer.ggml.bos_token_id", bos);
    if (!chat_template.empty()) b.text("tokenizer.chat_template", chat_template);
    ModelFiles files;
    files.kind = ModelKind::kGguf;
    files.path = "x.gguf";
    files.config.vocab_size = vocab;
    files.config.eos_token_ids = ends;
    auto gguf = open_gguf(test::memory_source("x.gguf", b.file()));
    REQUIRE(gguf.ok());
    files.gguf = std::make_shared<const GgufFile>(std::move(gguf).value());
    return files;
  }
  TokenTableReport report() const {
    const ModelFiles all = files();
    auto tokenizer = load_tokenizer(all);
    INFO(tokenizer.status().message());
    REQUIRE(tokenizer.ok());
    return check_token_table(all, **tokenizer);
  }
  Table with(const std::vector<std::string> &more) const {
    Table table = *this;
    table.tokens.insert(table.tokens.end(), more.begin(), more.end());
    return table;
  }
};

void check_one(const std::vector<std::string> &sentences, const char *part) {
  REQUIRE_EQ(sentences.size(), 1);
  INFO(sentences[0]);
  CHECK(test::contains(sentences[0].c_str(), part));
}

}  // namespace

TEST_CASE("a whole table needs no words") {
  const TokenTableReport report = Table().with(kFim).report();
  CHECK(report.wrong.empty());
  CHECK(report.notes.empty());
}

TEST_CASE("marks to fill in the middle: none is a note, some are wrong") {
  const TokenTableReport none = Table().report();
  CHECK(none.wrong.empty());
  check_one(none.notes, "no tokens to fill in the middle");
  const TokenTableReport some = Table().with({kFim[0], kFim[2]}).report();
  CHECK(some.notes.empty());
  check_one(some.wrong, "x.gguf: token <｜fim▁hole｜> is missing");
}

TEST_CASE("more tokens than rows, and ends that are no tokens") {
  Table table = Table().with(kFim);
  table.vocab = 260;
  check_one(table.report().wrong, "x.gguf: ids of tokens go up to 260, and the model has 260 rows");
  table.vocab = 300;
  table.ends = {257, 270, -1, 271};
  check_one(table.report().wrong, "x.gguf: the end token is id 270, which has no token");
}

TEST_CASE("a template that is none of the family's, or needs tokens that are not there") {
  Table table = Table().with(kFim);
  table.chat_template = "{{ messages }}";
  check_one(table.report().notes, "tokenizer.chat_template is none of the family's");
  table.chat_template = "{{'<｜User｜>' + message['content']}}{{'<｜Assistant｜>'}}";
  check_one(table.report().wrong, "<｜User｜>");
}

TEST_CASE("a begin token far beyond any table is refused like one behind its end; -1 means none") {
  Table table = Table().with(kFim);
  for (const uint32_t bos : {270u, 99'999'999u}) {
    table.bos = bos;
    CHECK_FAILS(load_tokenizer(table.files()), DS_E_FORMAT, "which has no token");
  }
  table.bos = UINT32_MAX;
  CHECK(load_tokenizer(table.files()).ok());
}
