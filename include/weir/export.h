/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EXPORT_H
#define WEIR_EXPORT_H

/* WEIR_API marks a promise: an exported function that stands in engine/weir.map. */
#if defined(__GNUC__) || defined(__clang__)
#define WEIR_API __attribute__((visibility("default")))
#else
#define WEIR_API
#endif

#endif
