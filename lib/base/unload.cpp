// What a shared library of ours gives back when it is unloaded. Part of the library and of each plugin that brings its
// own C++ runtime, and of nothing else: a runtime that others use as well is not ours to take apart.
//
// libstdc++ sets about 70 KB aside when it is loaded, for exceptions that are thrown when memory is out. It expects to
// live as long as the process, so the copy inside of a plugin would lose them with every load (docs/decisions/0066).
namespace __gnu_cxx {
void __freeres();  // of libstdc++, which no header declares
}

__attribute__((destructor)) static void give_back() { __gnu_cxx::__freeres(); }
