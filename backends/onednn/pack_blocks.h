// Tiles of the block forms from blocks as files have them. See pack.h, which is what the backend calls.
#pragma once

#include <cstdint>

#include "kernels.h"
#include "sdk/kernel.h"

namespace deepseam::onednn {

// Tile `tile` of matrix `index`. DS_E_MODEL: a scale is not finite.
Status pack_block_tile(const sdk::StoredTensor &from, uint64_t index, Pack pack, uint64_t tile, const char *role,
                       uint8_t *out);

Status not_finite(const char *role, uint64_t row, uint64_t col);

}  // namespace deepseam::onednn
