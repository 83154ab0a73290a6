/* Version numbers of the library and of its two ABIs. Owns nothing else.
 *
 * While DS_ABI_MAJOR is 0 the user ABI is a candidate: program and library must agree exactly. From 1 on it only grows.
 * The backend ABI is numbered apart, because plugins and programs age apart. */
#ifndef DEEPSEAM_VERSION_H
#define DEEPSEAM_VERSION_H

#define DS_VERSION_MAJOR 0
#define DS_VERSION_MINOR 1
#define DS_VERSION_PATCH 0
#define DS_VERSION_STRING "0.1.0"

#define DS_ABI_MAJOR 0
#define DS_ABI_MINOR 1
/* What a program states as its abi_version: major in the upper half, minor in the lower. */
#define DS_ABI_VERSION ((DS_ABI_MAJOR << 16) | DS_ABI_MINOR)

#define DSB_ABI_MAJOR 0
#define DSB_ABI_MINOR 1
#define DSB_ABI_VERSION ((DSB_ABI_MAJOR << 16) | DSB_ABI_MINOR)

#endif
