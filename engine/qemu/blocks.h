/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_ENGINE_QEMU_BLOCKS_H
#define ARROW_ENGINE_QEMU_BLOCKS_H

/*
 * What Arrow's own QEMU has translated of a template's guest, kept in a file for clones that are
 * not forked (hypervisor/, accel/tcg/arrow-blocks.c). docs/templates.md tells the whole.
 *
 *   TEMPLATE/blocks          the file
 *   TEMPLATE/blocks.digest   its digest, 64 digits
 *   TEMPLATE/blocks.checked  that both were compared in this boot
 */

#include <stdbool.h>

#include "util/error.h"

/*
 * Opens the file of a template for QEMU to map. Returns a descriptor or a negative errno: -ENOENT
 * where there is none, or one that is damaged, which is removed.
 */
int qemu_blocks_open(const char *template_dir) ARROW_MUST_CHECK;

/* Begins a new one in the current directory, a template: opens an empty file beside. */
int qemu_blocks_create(void) ARROW_MUST_CHECK;

/* It is written and gets its name, or is not whole and removed. Failing is no error. */
void qemu_blocks_finish(int fd, bool whole);

#endif
