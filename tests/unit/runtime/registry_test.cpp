#include "runtime/registry.h"

#include <doctest/doctest.h>

#include <cstring>

#include "unit/runtime/mock_backend.h"
#include "unit/runtime/plugin_folder.h"

namespace deepseam::runtime {
namespace {

using test::Mock;

HostOptions no_host() { return {}; }

TEST_CASE("nothing loaded: the failure says so") {
  Registry registry{no_host()};
  const Result<Choice> choice = registry.choose("auto");
  CHECK(choice.status().code() == DS_E_NO_DEVICE);
  CHECK(std::string(choice.status().message()).find("no plugin was found") != std::string::npos);
}

TEST_CASE("the best score wins, of equals the first") {
  Mock weak("weak", 1), strong("strong", 9), equal("equal", 9);
  Registry registry{no_host()};
  REQUIRE(registry.add_linked(weak.root()).ok());
  REQUIRE(registry.add_linked(strong.root()).ok());
  REQUIRE(registry.add_linked(equal.root()).ok());
  const Result<Choice> choice = registry.choose("");
  REQUIRE(choice.ok());
  CHECK(choice->backend->name() == "strong");
  REQUIRE(choice->considered.size() == 3);
  CHECK(choice->considered[0].reason == "another one has a better score");
  CHECK(choice->considered[1].chosen);
  CHECK(choice->considered[2].reason == "an equal one was loaded earlier");
  CHECK_FALSE(choice->considered[0].chosen);
}

TEST_CASE("a backend asked for by name is taken whatever its score") {
  Mock weak("weak", 0), strong("strong", 9);
  Registry registry{no_host()};
  REQUIRE(registry.add_linked(weak.root()).ok());
  REQUIRE(registry.add_linked(strong.root()).ok());
  CHECK(registry.choose("weak")->backend->name() == "weak");
  CHECK(registry.choose("weak", 0)->device.index == 0);
  const Status none = registry.choose("weak", 5).status();
  CHECK(none.code() == DS_E_NO_DEVICE);
  CHECK(std::string(none.message()).find("another device was asked for") != std::string::npos);
  CHECK(registry.choose("cuda").status().code() == DS_E_NO_DEVICE);
}

TEST_CASE("a second backend of a name is refused and told") {
  Mock first("same", 1), second("same", 2);
  Registry registry{no_host()};
  REQUIRE(registry.add_linked(first.root()).ok());
  CHECK(registry.add_linked(second.root()).code() == DS_E_PLUGIN);
  REQUIRE(registry.report().size() == 2);
  CHECK(registry.report()[1].why == PluginReason::kDuplicate);
  CHECK_FALSE(registry.report()[1].loaded);
  CHECK(registry.backends().size() == 1);
  CHECK(second.live == 0);
}

TEST_CASE("a backend that had no memory to find its devices is refused as that, and may come again") {
  Mock mock("mock", 1);
  mock.on_api = [](dsb_api &api) {
    api.device_info = [](dsb_instance *, uint32_t, dsb_device_info *, ds_error *) -> ds_status { return DS_E_MEMORY; };
  };
  Registry registry{no_host()};
  CHECK(registry.add_linked(mock.root()).code() == DS_E_MEMORY);
  CHECK(registry.backends().empty());
  CHECK(mock.live == 0);
  mock.on_api = nullptr;
  REQUIRE(registry.add_linked(mock.root()).ok());
  CHECK(registry.choose("").ok());
}

TEST_CASE("a folder is searched once") {
  const test::PluginFolder folder;
  folder.add("lying_honest");
  Registry registry{no_host()};
  LoaderOptions options;
  options.folders = {folder.path()};
  options.own_folder = false;
  registry.search(options);
  registry.search(options);
  CHECK(registry.report().size() == 1);
  CHECK(registry.choose("auto")->backend->name() == "liar");
}

TEST_CASE("a failed choice names every refused plugin") {
  const test::PluginFolder folder;
  folder.add("lying_instance_fails");
  Registry registry{no_host()};
  LoaderOptions options;
  options.folders = {folder.path()};
  options.own_folder = false;
  registry.search(options);
  const Status status = registry.choose("auto").status();
  CHECK(std::string(status.message()).find("instance_create failed with DS_E_DEVICE") != std::string::npos);
}

TEST_CASE("quiesce goes from last to first, closes the registry, and is repeated for who failed") {
  Mock first("first", 1), second("second", 2);
  std::vector<std::string> order;
  first.on_quiesce = [&] {
    order.push_back("first");
    return DS_OK;
  };
  int tries = 0;
  second.on_quiesce = [&]() -> ds_status {
    order.push_back("second");
    return ++tries == 1 ? DS_E_TIMEOUT : DS_OK;
  };
  Registry registry{no_host()};
  REQUIRE(registry.add_linked(first.root()).ok());
  REQUIRE(registry.add_linked(second.root()).ok());
  CHECK(registry.quiesce(1000).code() == DS_E_TIMEOUT);
  CHECK(order == std::vector<std::string>{"second", "first"});
  CHECK(first.live == 0);
  CHECK(second.live == 1);
  CHECK(registry.choose("auto").status().code() == DS_E_SHUT_DOWN);
  CHECK(registry.add_linked(first.root()).code() == DS_E_SHUT_DOWN);
  CHECK(registry.quiesce(1000).ok());
  CHECK(order == std::vector<std::string>{"second", "first", "second"});
  CHECK(second.live == 0);
}

TEST_CASE("a backend outlives the registry as long as it is used") {
  Mock mock("used", 1);
  std::shared_ptr<Backend> kept;
  {
    Registry registry{no_host()};
    REQUIRE(registry.add_linked(mock.root()).ok());
    kept = registry.choose("used")->backend;
  }
  CHECK(mock.live == 1);
  kept.reset();
  CHECK(mock.live == 0);
}

}  // namespace
}  // namespace deepseam::runtime
