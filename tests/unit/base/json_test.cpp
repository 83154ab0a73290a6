#include "base/json.h"

#include <doctest/doctest.h>

#include <bit>
#include <chrono>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

using namespace deepseam;

namespace {

std::shared_ptr<const JsonDocument> parsed(std::string_view text) {
  Result<std::shared_ptr<const JsonDocument>> document = parse_json("test.json", text);
  REQUIRE_MESSAGE(document.ok(), document.status().message());
  return document.value();
}

Failure refused(std::string_view text, const JsonLimits &limits = {}) {
  const Status status = parse_json("test.json", text, limits).status();
  CHECK_MESSAGE(status.code() == DS_E_FORMAT, text.substr(0, 60));
  return status.failure() ? *status.failure() : Failure();
}

std::string repeated(const std::string &piece, size_t times) {
  std::string text;
  for (size_t i = 0; i < times; ++i) text += piece;
  return text;
}

}  // namespace

TEST_CASE("values of every type come back as they stand") {
  const auto document = parsed(R"( {"n":null,"t":true,"i":-42,"d":1.5,"s":"x","a":[1,[2,3],{}],"o":{"k":"v"}} )");
  const Json root = json_root(*document);
  REQUIRE(root.is_object());
  CHECK(root.size() == 7);
  CHECK(root["n"].is_null());
  CHECK(root["t"].boolean() == true);
  CHECK(root["i"].integer() == -42);
  CHECK(root["d"].number() == 1.5);
  CHECK(root["s"].text() == "x");
  CHECK(root["a"].size() == 3);
  CHECK(root["a"].at(1).at(1).integer() == 3);
  CHECK(root["a"].at(2).is_object());
  CHECK(root["o"]["k"].text() == "v");
  CHECK(root.key(6) == "o");
}

TEST_CASE("members and elements keep the order of the document") {
  const auto document = parsed(R"({"b":1,"a":2,"c":[3,4,5]})");
  const Json root = json_root(*document);
  CHECK(root.key(0) == "b");
  CHECK(root.at(1).integer() == 2);
  CHECK(root.at(2).at(0).integer() == 3);
  CHECK(root.at(2).at(2).integer() == 5);
}

TEST_CASE("what is missing or of another type reads as null, at any depth") {
  const auto document = parsed(R"({"a":[1],"s":"x"})");
  const Json root = json_root(*document);
  CHECK(root["x"]["y"].at(3)["z"].is_null());
  CHECK_FALSE(root["x"].integer());
  CHECK(root["a"].at(1).is_null());
  CHECK(root["s"].size() == 0);
  CHECK(root["s"]["q"].is_null());
  CHECK(root.key(9).empty());
  CHECK_FALSE(root["a"].integer());
  CHECK_FALSE(root["s"].number());
  CHECK(Json().is_null());
  CHECK(Json().size() == 0);
}

TEST_CASE("contains tells a null from nothing") {
  const auto document = parsed(R"({"n":null})");
  CHECK(json_root(*document).contains("n"));
  CHECK_FALSE(json_root(*document).contains("m"));
}

TEST_CASE("integers stay integers up to 64 bits, everything else is a number") {
  const auto document = parsed("[9223372036854775807,-9223372036854775808,9223372036854775808,1.0,1e3,-0]");
  const Json root = json_root(*document);
  CHECK(root.at(0).integer() == INT64_MAX);
  CHECK(root.at(1).integer() == INT64_MIN);
  CHECK_FALSE(root.at(2).integer());
  CHECK(root.at(2).number() == 9223372036854775808.0);
  CHECK_FALSE(root.at(3).integer());
  CHECK(root.at(4).number() == 1000);
  CHECK(root.at(0).number() == 9223372036854775807.0);
}

TEST_CASE("numbers are read to the last bit") {
  std::mt19937_64 random(11);
  int wrong = 0;
  for (int i = 0; i < 20000; ++i) {
    const double value = std::bit_cast<double>(random());
    if (!std::isfinite(value)) continue;
    char text[64];
    std::snprintf(text, sizeof text, "%.17g", value);
    const auto document = parse_json("n", text);
    wrong += !document.ok() || json_root(*document.value()).number() != value;
  }
  CHECK(wrong == 0);
}

TEST_CASE("a number beyond all doubles is refused, one too close to zero is zero") {
  const std::string zeros(400, '0');
  for (const std::string &text : {std::string("1e400"), std::string("1.8e308"), std::string("-0.18E309"),
                                  "1" + zeros + ".5e-1", "0." + zeros + "1e900", std::string("1e99999999999999999999")})
    refused(text);
  for (const std::string &text : {std::string("1e-400"), std::string("-0.1E-400"), "0." + zeros + "1",
                                  std::string("2e-324"), std::string("1e-99999999999999999999")})
    CHECK(json_root(*parsed(text)).number() == 0);
  CHECK(json_root(*parsed("0." + zeros + "1e401")).number() == 1);
  CHECK(json_root(*parsed("0.17e309")).number() == 0.17e309);
}

TEST_CASE("strings are unescaped, zero bytes and surrogate pairs included") {
  const auto document = parsed(R"(["a\"\\\/\b\f\n\r\t","\u0000x","\ud83d\ude00","é"])");
  const Json root = json_root(*document);
  CHECK(root.at(0).text() == "a\"\\/\b\f\n\r\t");
  CHECK(root.at(1).text() == std::string_view("\0x", 2));
  CHECK(root.at(2).text() == "\xf0\x9f\x98\x80");
  CHECK(root.at(3).text() == "\xc3\xa9");
}

TEST_CASE("what is no JSON is refused with the byte where it ends being some") {
  CHECK(refused("").path == "test.json");
  CHECK(refused(R"({"a":1,})").byte_offset == 7);
  CHECK(refused("[1,2").byte_offset == 4);
  CHECK(refused("[1] x").byte_offset == 4);
  for (const char *text :
       {"{",           "nul",           "tru",     "[1,]", "{a:1}",    "{'a':1}", "[01]",  "[1.]",
        "[.5]",        "[+1]",          "[1e]",    "NaN",  "Infinity", "[1e999]", "\"abc", "[\"\\x\"]",
        "[\"\\u12\"]", "[\"\\ud800\"]", "// c\n1", "]",    "{\"a\"}",  "\"\t\"",  "1 2",   "\xef\xbb\xbf{}"})
    refused(text);
}

TEST_CASE("bytes that are not UTF-8 are refused") {
  for (const char *text : {"[\"\x80\"]", "[\"\xc0\xaf\"]", "[\"\xe2\x82\"]", "[\"\xed\xa0\x80\"]",
                           "[\"\xf5\x80\x80\x80\"]", "{\"\xff\":1}"})
    refused(text);
}

TEST_CASE("a zero byte does not end the document early") {
  refused(std::string_view("[1]\0[2]", 7));
  refused(std::string_view("\"a\0b\"", 5));
  refused(std::string_view("[1\0]", 4));
}

TEST_CASE("a key that stands twice in one object is refused and named, however large the object") {
  const Failure few = refused(R"({"a":1,"dup":2,"b":3,"dup":4})");
  CHECK(std::string(few.message).find("\"dup\"") != std::string::npos);
  CHECK(few.byte_offset == 26);
  std::string text = "{\"dup\":0";
  for (int i = 0; i < 1000; ++i) text += ",\"k" + std::to_string(i) + "\":0";
  const Failure many = refused(text + ",\"\\u0064up\":1}");
  CHECK(std::string(many.message).find("\"dup\"") != std::string::npos);
  CHECK(many.byte_offset == text.size() + 11);
  parsed(R"({"a":{"x":1},"b":{"x":1}})");
}

TEST_CASE("depth has a limit and costs no stack") {
  JsonLimits limits;
  limits.depth = 3;
  CHECK(parse_json("t", "[[[1]]]", limits).ok());
  refused("[[[[1]]]]", limits);
  refused("{\"a\":[{\"b\":[]}]}", limits);
  limits.depth = UINT32_MAX;
  const size_t deep = 300000;
  CHECK(parse_json("t", std::string(deep, '[') + std::string(deep, ']'), limits).ok());
  refused(std::string(deep, '['), limits);
  refused(repeated("{\"a\":", deep), limits);
}

TEST_CASE("size and number of values have limits") {
  JsonLimits limits;
  limits.bytes = 10;
  CHECK(parse_json("t", "[1,2,3,45]", limits).ok());
  refused("[1,2,3,456]", limits);
  limits = {};
  limits.nodes = 4;
  CHECK(parse_json("t", "[1,2,3]", limits).ok());
  refused("[1,2,3,4]", limits);
}

TEST_CASE("very long numbers and strings are no trouble") {
  CHECK(json_root(*parsed("0." + std::string(200000, '1'))).number().value() == doctest::Approx(1.0 / 9));
  refused(std::string(200000, '9'));
  CHECK(json_root(*parsed("0E40")).number() == 0);
  CHECK(json_root(*parsed("1e-" + std::string(50, '9'))).number() == 0);
  CHECK(json_root(*parsed("\"" + std::string(1000000, 'x') + "\"")).text()->size() == 1000000);
}

TEST_CASE("an object of 100,000 keys finds every key, and quickly") {
  std::string text = "{";
  for (int i = 0; i < 100000; ++i) text += (i ? ",\"key " : "\"key ") + std::to_string(i) + "\":" + std::to_string(i);
  text += '}';
  const auto document = parsed(text);
  const Json root = json_root(*document);
  const auto begin = std::chrono::steady_clock::now();
  int wrong = 0;
  for (int i = 0; i < 100000; ++i) wrong += root["key " + std::to_string(i)].integer() != i;
  for (int i = 0; i < 100000; ++i) wrong += root.contains("key  " + std::to_string(i));
  CHECK(wrong == 0);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));  // a scan would take minutes
}

TEST_CASE("every truncation and every changed byte of a document ends in a document or a status") {
  const std::string text = R"({"a":[1,-2.5e3,true,null,{"b":"x\n\u00e9\ud83d\ude00"}],"c":{},"d":[],"e":"é"})";
  for (size_t size = 0; size < text.size(); ++size) refused(std::string_view(text).substr(0, size));
  int documents = 0;
  for (size_t at = 0; at < text.size(); ++at)
    for (int byte = 0; byte < 256; ++byte) {
      std::string changed = text;
      changed[at] = static_cast<char>(byte);
      documents += parse_json("t", changed).ok();
    }
  CHECK(documents > 1000);
}

TEST_CASE("the writer separates, escapes and nests") {
  JsonWriter writer;
  writer.begin_object().key("a").begin_array().value(1).value(true).null().end_array();
  writer.key("b\"").begin_object().end_object().key("c").value("x\n\x01\\").key("d").begin_array().end_array();
  writer.end_object();
  CHECK(writer.take() == "{\"a\":[1,true,null],\"b\\\"\":{},\"c\":\"x\\n\\u0001\\\\\",\"d\":[]}");
}

TEST_CASE("the writer's numbers read back equal, without a locale") {
  std::mt19937_64 random(5);
  JsonWriter writer;
  std::vector<double> values = {0.1, 1e22, 1e-320, -0.0, 5e-324, std::numeric_limits<double>::max(), 1.0};
  for (int i = 0; i < 5000; ++i) {
    const double value = std::bit_cast<double>(random());
    if (std::isfinite(value)) values.push_back(value);
  }
  writer.begin_array();
  for (const double value : values) writer.value(value);
  writer.value(INFINITY).value(NAN).value(INT64_MIN).value(UINT64_MAX).end_array();
  const std::string text = writer.take();
  CHECK(text.substr(0, 10) == "[0.1,1e+22");
  const auto document = parsed(text);
  const Json root = json_root(*document);
  int wrong = 0;
  for (size_t i = 0; i < values.size(); ++i) wrong += root.at(i).number() != values[i];
  CHECK(wrong == 0);
  CHECK(root.at(values.size()).is_null());
  CHECK(root.at(values.size() + 1).is_null());
  CHECK(root.at(values.size() + 2).integer() == INT64_MIN);
  CHECK(root.at(values.size() + 3).number() == 18446744073709551615.0);
}

TEST_CASE("decimals keep their point") {
  JsonWriter json;
  json.begin_array().decimal(2).decimal(-0.5).decimal(1e300).decimal(10000).end_array();
  CHECK_EQ(json.take(), "[2.0,-0.5,1e+300,10000.0]");
}

TEST_CASE("the writer's text is valid UTF-8 whatever bytes come in") {
  std::mt19937 random(3);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes(random() % 40, 0);
    for (char &byte : bytes) byte = static_cast<char>(random() % 4 ? random() : 0x80 + random() % 0x80);
    JsonWriter writer;
    writer.value(bytes);
    const std::string text = writer.take();
    REQUIRE(parse_json("t", text).ok());
  }
  JsonWriter writer;
  writer.value("a\x80z\xe2\x82\xac\xe2\x82");
  CHECK(writer.take() == "\"a\xef\xbf\xbdz\xe2\x82\xac\xef\xbf\xbd\xef\xbf\xbd\"");
}
