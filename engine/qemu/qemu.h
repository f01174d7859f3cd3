/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_ENGINE_QEMU_QEMU_H
#define ARROW_ENGINE_QEMU_QEMU_H

#include "engine/engine.h"

/* QEMU 7.2 and later, microvm machine, with KVM or TCG. */
extern const struct arrow_engine arrow_engine_qemu;

#endif
