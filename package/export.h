/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_PACKAGE_EXPORT_H
#define ARROW_PACKAGE_EXPORT_H

#include "core/spec/spec.h"

/*
 * Writes an image as a folder that QEMU alone starts: vmlinux, initramfs.cpio (the loader and the
 * job), root.erofs, run.sh and run.cmd. The same image gives the same root and kernel; the machine
 * id is the folder's own.
 *   directory: empty or missing
 * Errors: what arrow_spec_resolve(), making the root and opening the kernel say; a full disk.
 */
int arrow_export_folder(const struct arrow_paths *paths, const char *image, const char *directory,
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
