// From a plugin's root to a Backend: negotiate, table, instance, devices; each answer checked before it is used.
#pragma once

#include <memory>

#include "runtime/plugin_loader.h"

namespace deepseam::runtime {

class BackendMaker {
 public:
  // `manifest` NULL for a linked-in root, and `library` not open then. Fills stage, why, code, reason, name and version
  // of the report; NULL if the plugin was refused.
  static std::shared_ptr<Backend> make(const dsb_root *root, const Manifest *manifest, SharedLibrary library,
                                       const std::shared_ptr<const HostOptions> &host, PluginReport &report);

 private:
  static Refusal negotiate(const dsb_root &root, uint32_t &version);
  static Refusal read_table(const dsb_root &root, uint32_t version, Backend &backend);
  static Refusal check_names(const Manifest *manifest, Backend &backend);
  static Refusal create_instance(const std::shared_ptr<const HostOptions> &host, Backend &backend);
};

}  // namespace deepseam::runtime
