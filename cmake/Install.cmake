# Installation: library, headers, plugins, ds, pkg-config and CMake package files.
