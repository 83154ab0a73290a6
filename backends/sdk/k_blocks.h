// Blocks of GGUF for backends, which include nothing of lib themselves.
#pragma once

#include "base/k_blocks.h"
