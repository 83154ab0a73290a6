// Conversions between float and the narrow formats, for backends: the core's own, so that all agree to the bit.
#pragma once

#include "base/half.h"
