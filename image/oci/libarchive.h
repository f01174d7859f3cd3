/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_IMAGE_OCI_LIBARCHIVE_H
#define ARROW_IMAGE_OCI_LIBARCHIVE_H

/*
 * libarchive, loaded by dlopen() when an archive is first read or written: it brings libxml2, ICU
 * and libstdc++ along, 2 ms of every start of a program that is linked with it, and a start of an
 * Arrow reads no archive. Its functions are used by their own names after libarchive_load().
 */

#include <archive.h>
#include <archive_entry.h>

#include "util/error.h"

/* Loads it, once. Errors: -ENOPKG (it is not installed). Any number of threads may call it. */
int libarchive_load(struct arrow_error *error) ARROW_MUST_CHECK;

/* clang-format off */
#define LIBARCHIVE_FUNCTIONS(X) \
	X(archive_entry_clear) \
	X(archive_entry_copy_hardlink) \
	X(archive_entry_copy_pathname) \
	X(archive_entry_copy_symlink) \
	X(archive_entry_filetype) \
	X(archive_entry_free) \
	X(archive_entry_gid) \
	X(archive_entry_hardlink) \
	X(archive_entry_linkify) \
	X(archive_entry_linkresolver_free) \
	X(archive_entry_linkresolver_new) \
	X(archive_entry_linkresolver_set_strategy) \
	X(archive_entry_mtime) \
	X(archive_entry_mtime_nsec) \
	X(archive_entry_new) \
	X(archive_entry_pathname) \
	X(archive_entry_perm) \
	X(archive_entry_rdev) \
	X(archive_entry_rdevmajor) \
	X(archive_entry_rdevminor) \
	X(archive_entry_set_filetype) \
	X(archive_entry_set_gid) \
	X(archive_entry_set_hardlink) \
	X(archive_entry_set_mtime) \
	X(archive_entry_set_pathname) \
	X(archive_entry_set_perm) \
	X(archive_entry_set_rdev) \
	X(archive_entry_set_rdevmajor) \
	X(archive_entry_set_rdevminor) \
	X(archive_entry_set_size) \
	X(archive_entry_set_symlink) \
	X(archive_entry_set_uid) \
	X(archive_entry_size) \
	X(archive_entry_sparse_add_entry) \
	X(archive_entry_sparse_next) \
	X(archive_entry_sparse_reset) \
	X(archive_entry_symlink) \
	X(archive_entry_uid) \
	X(archive_entry_unset_size) \
	X(archive_entry_xattr_add_entry) \
	X(archive_entry_xattr_next) \
	X(archive_entry_xattr_reset) \
	X(archive_errno) \
	X(archive_error_string) \
	X(archive_read_data) \
	X(archive_read_data_block) \
	X(archive_read_disk_can_descend) \
	X(archive_read_disk_descend) \
	X(archive_read_disk_new) \
	X(archive_read_disk_open) \
	X(archive_read_disk_set_behavior) \
	X(archive_read_disk_set_symlink_hybrid) \
	X(archive_read_disk_set_symlink_physical) \
	X(archive_read_free) \
	X(archive_read_new) \
	X(archive_read_next_header) \
	X(archive_read_next_header2) \
	X(archive_read_open) \
	X(archive_read_open_fd) \
	X(archive_read_support_filter_all) \
	X(archive_read_support_filter_gzip) \
	X(archive_read_support_filter_zstd) \
	X(archive_read_support_format_empty) \
	X(archive_read_support_format_raw) \
	X(archive_read_support_format_tar) \
	X(archive_set_error) \
	X(archive_write_close) \
	X(archive_write_data) \
	X(archive_write_data_block) \
	X(archive_write_disk_new) \
	X(archive_write_disk_set_options) \
	X(archive_write_fail) \
	X(archive_write_finish_entry) \
	X(archive_write_free) \
	X(archive_write_header) \
	X(archive_write_new) \
	X(archive_write_open) \
	X(archive_write_open_fd) \
	X(archive_write_set_bytes_in_last_block) \
	X(archive_write_set_format_pax_restricted)
/* clang-format on */

#define LIBARCHIVE_DECLARE(name) extern __typeof__(name) *libarchive_##name;
LIBARCHIVE_FUNCTIONS(LIBARCHIVE_DECLARE)
#undef LIBARCHIVE_DECLARE

#ifndef LIBARCHIVE_NO_NAMES
#define archive_entry_clear libarchive_archive_entry_clear
#define archive_entry_copy_hardlink libarchive_archive_entry_copy_hardlink
#define archive_entry_copy_pathname libarchive_archive_entry_copy_pathname
#define archive_entry_copy_symlink libarchive_archive_entry_copy_symlink
#define archive_entry_filetype libarchive_archive_entry_filetype
#define archive_entry_free libarchive_archive_entry_free
#define archive_entry_gid libarchive_archive_entry_gid
#define archive_entry_hardlink libarchive_archive_entry_hardlink
#define archive_entry_linkify libarchive_archive_entry_linkify
#define archive_entry_linkresolver_free libarchive_archive_entry_linkresolver_free
#define archive_entry_linkresolver_new libarchive_archive_entry_linkresolver_new
#define archive_entry_linkresolver_set_strategy libarchive_archive_entry_linkresolver_set_strategy
#define archive_entry_mtime libarchive_archive_entry_mtime
#define archive_entry_mtime_nsec libarchive_archive_entry_mtime_nsec
#define archive_entry_new libarchive_archive_entry_new
#define archive_entry_pathname libarchive_archive_entry_pathname
#define archive_entry_perm libarchive_archive_entry_perm
#define archive_entry_rdev libarchive_archive_entry_rdev
#define archive_entry_rdevmajor libarchive_archive_entry_rdevmajor
#define archive_entry_rdevminor libarchive_archive_entry_rdevminor
#define archive_entry_set_filetype libarchive_archive_entry_set_filetype
#define archive_entry_set_gid libarchive_archive_entry_set_gid
#define archive_entry_set_hardlink libarchive_archive_entry_set_hardlink
#define archive_entry_set_mtime libarchive_archive_entry_set_mtime
#define archive_entry_set_pathname libarchive_archive_entry_set_pathname
#define archive_entry_set_perm libarchive_archive_entry_set_perm
#define archive_entry_set_rdev libarchive_archive_entry_set_rdev
#define archive_entry_set_rdevmajor libarchive_archive_entry_set_rdevmajor
#define archive_entry_set_rdevminor libarchive_archive_entry_set_rdevminor
#define archive_entry_set_size libarchive_archive_entry_set_size
#define archive_entry_set_symlink libarchive_archive_entry_set_symlink
#define archive_entry_set_uid libarchive_archive_entry_set_uid
#define archive_entry_size libarchive_archive_entry_size
#define archive_entry_sparse_add_entry libarchive_archive_entry_sparse_add_entry
#define archive_entry_sparse_next libarchive_archive_entry_sparse_next
#define archive_entry_sparse_reset libarchive_archive_entry_sparse_reset
#define archive_entry_symlink libarchive_archive_entry_symlink
#define archive_entry_uid libarchive_archive_entry_uid
#define archive_entry_unset_size libarchive_archive_entry_unset_size
#define archive_entry_xattr_add_entry libarchive_archive_entry_xattr_add_entry
#define archive_entry_xattr_next libarchive_archive_entry_xattr_next
#define archive_entry_xattr_reset libarchive_archive_entry_xattr_reset
#define archive_errno libarchive_archive_errno
#define archive_error_string libarchive_archive_error_string
#define archive_read_data libarchive_archive_read_data
#define archive_read_data_block libarchive_archive_read_data_block
#define archive_read_disk_can_descend libarchive_archive_read_disk_can_descend
#define archive_read_disk_descend libarchive_archive_read_disk_descend
#define archive_read_disk_new libarchive_archive_read_disk_new
#define archive_read_disk_open libarchive_archive_read_disk_open
#define archive_read_disk_set_behavior libarchive_archive_read_disk_set_behavior
#define archive_read_disk_set_symlink_hybrid libarchive_archive_read_disk_set_symlink_hybrid
#define archive_read_disk_set_symlink_physical libarchive_archive_read_disk_set_symlink_physical
#define archive_read_free libarchive_archive_read_free
#define archive_read_new libarchive_archive_read_new
#define archive_read_next_header libarchive_archive_read_next_header
#define archive_read_next_header2 libarchive_archive_read_next_header2
#define archive_read_open libarchive_archive_read_open
#define archive_read_open_fd libarchive_archive_read_open_fd
#define archive_read_support_filter_all libarchive_archive_read_support_filter_all
#define archive_read_support_filter_gzip libarchive_archive_read_support_filter_gzip
#define archive_read_support_filter_zstd libarchive_archive_read_support_filter_zstd
#define archive_read_support_format_empty libarchive_archive_read_support_format_empty
#define archive_read_support_format_raw libarchive_archive_read_support_format_raw
#define archive_read_support_format_tar libarchive_archive_read_support_format_tar
#define archive_set_error libarchive_archive_set_error
#define archive_write_close libarchive_archive_write_close
#define archive_write_data libarchive_archive_write_data
#define archive_write_data_block libarchive_archive_write_data_block
#define archive_write_disk_new libarchive_archive_write_disk_new
#define archive_write_disk_set_options libarchive_archive_write_disk_set_options
#define archive_write_fail libarchive_archive_write_fail
#define archive_write_finish_entry libarchive_archive_write_finish_entry
#define archive_write_free libarchive_archive_write_free
#define archive_write_header libarchive_archive_write_header
#define archive_write_new libarchive_archive_write_new
#define archive_write_open libarchive_archive_write_open
#define archive_write_open_fd libarchive_archive_write_open_fd
#define archive_write_set_bytes_in_last_block libarchive_archive_write_set_bytes_in_last_block
#define archive_write_set_format_pax_restricted libarchive_archive_write_set_format_pax_restricted
#endif

#endif
