// SPDX-License-Identifier: Apache-2.0
#include "package/export.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "package/resolve.h"
#include "core/job/job.h"
#include "guest/blob.h"
#include "image/uniform.h"
#include "kernel/kernel.h"
#include "util/cleanup.h"
#include "util/hex.h"
#include "util/io.h"

#define PIECE ((size_t)256 * 1024)

/* What both scripts say. %s: of the kernel; %llu: MiB. */
#define MACHINE                                                                                    \
	"-M microvm,acpi=off,rtc=on,isa-serial=off -cpu max -m %lluM -smp 1 -nodefaults "          \
	"-no-user-config -no-reboot -display none"
#define DEVICES                                                                                    \
	"-device virtio-serial-device -chardev stdio,id=console,signal=off "                       \
	"-device virtconsole,chardev=console -device virtio-blk-device,drive=root"
#define KERNEL_WORDS "%s panic=-1 reboot=t no_timer_check"

static const char run_sh[] =
	"#!/bin/sh\n"
	"# Starts this Arrow with QEMU 7.2 or later; with ARROW_ACCEL=kvm on a machine whose KVM works,\n"
	"# else by emulation. The words behind run.sh are options for QEMU.\n"
	"cd \"$(dirname \"$0\")\" || exit 125\n"
	"exec \"${QEMU:-qemu-system-x86_64}\" -accel \"${ARROW_ACCEL:-tcg}\" " MACHINE " \\\n"
	"  -kernel vmlinux -initrd initramfs.cpio -append '" KERNEL_WORDS "' \\\n"
	"  -drive if=none,id=root,format=raw,readonly=on,file=root.erofs \\\n"
	"  " DEVICES " \"$@\"\n";

static const char run_cmd[] =
	"@echo off\r\n"
	"rem Starts this Arrow with QEMU 7.2 or later; qemu-system-x86_64.exe has to be in PATH.\r\n"
	"cd /d \"%%~dp0\"\r\n"
	"qemu-system-x86_64.exe -accel tcg " MACHINE " ^\r\n"
	"  -kernel vmlinux -initrd initramfs.cpio -append \"" KERNEL_WORDS "\" ^\r\n"
	"  -drive if=none,id=root,format=raw,readonly=on,file=root.erofs ^\r\n"
	"  " DEVICES " %%*\r\n";

struct export
{
	const char *path;
	int fd;
	struct arrow_spec spec;
	struct arrow_image image;
	struct arrow_kernel kernel;
	struct arrow_job job;
	struct arrow_error *error;
};

static void export_release(struct export *x)
{
	arrow_spec_release(&x->spec);
	arrow_image_release(&x->image);
	arrow_kernel_release(&x->kernel);
	arrow_job_release(&x->job);
	close_keep_errno(x->fd);
}
#define _cleanup_export_ __attribute__((cleanup(export_release)))

static int export_fail_write(struct export *x, const char *name, int err)
{
	return arrow_fail(x->error, err, "cannot write %s/%s: %m", x->path, name);
}

static int export_open_file(struct export *x, const char *name, mode_t mode, int *fd)
{
	*fd = openat(x->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	return *fd < 0 ? export_fail_write(x, name, errno) : 0;
}

/* Copies a file from its start; holes and blocks of zeros become holes. */
static int export_copy_file(struct export *x, int from, const char *name)
{
	static const char zeros[4096];
	_cleanup_free_ char *buf = malloc(PIECE);
	_cleanup_close_ int fd = -1;
	off_t at = 0, size = lseek(from, 0, SEEK_END);
	ssize_t n;
	int e = export_open_file(x, name, 0644, &fd);

	if (e == 0 && !buf)
		return arrow_no_memory(x->error);
	while (e == 0 && (at = lseek(from, at, SEEK_DATA)) >= 0) {
		n = pread(from, buf, PIECE, at);
		if (n <= 0)
			return export_fail_write(x, name, n < 0 ? errno : EIO);
		for (ssize_t k = 0; k < n; k += (ssize_t)sizeof(zeros)) {
			size_t part =
				(size_t)(n - k) < sizeof(zeros) ? (size_t)(n - k) : sizeof(zeros);

			if (memcmp(buf + k, zeros, part) != 0 &&
				pwrite(fd, buf + k, part, at + k) != (ssize_t)part)
				return export_fail_write(x, name, errno ? errno : EIO);
		}
		at += n;
	}
	/* ENXIO: nothing but holes follows. */
	if (e == 0 && (errno != ENXIO || ftruncate(fd, size) < 0))
		return export_fail_write(x, name, errno);
	return e;
}

/* One member of a "newc" cpio archive; see Documentation/driver-api/early-userspace. */
static int write_member(int fd, const char *name, unsigned int mode, const void *data, size_t size)
{
	static const char padding[4];
	char head[128];
	size_t n = strlen(name) + 1;
	int e;

	snprintf(head, sizeof(head), "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x",
		1u, mode, 0u, 0u, 1u, 0u, size, 0u, 0u, 0u, 0u, n, 0u);
	e = write_full(fd, head, 110);
	if (e == 0)
		e = write_full(fd, name, n);
	if (e == 0)
		e = write_full(fd, padding, (4 - (110 + n) % 4) % 4);
	if (e == 0)
		e = write_full(fd, data, size);
	return e == 0 ? write_full(fd, padding, (4 - size % 4) % 4) : e;
}

/* The loader's initramfs, and behind it one with the job: the kernel unpacks both. */
static int write_initramfs(struct export *x)
{
	static const char name[] = "initramfs.cpio";
	_cleanup_close_ int fd = -1;
	int e = export_open_file(x, name, 0600, &fd);

	if (e < 0)
		return e;
	e = write_full(fd, arrow_alone_initramfs,
		(size_t)(arrow_alone_initramfs_end - arrow_alone_initramfs));
	if (e == 0)
		e = write_member(fd, "job", S_IFREG | 0400, x->job.data, x->job.size);
	if (e == 0)
		e = write_member(fd, "TRAILER!!!", 0, "", 0);
	return e < 0 ? export_fail_write(x, name, -e) : 0;
}

static int write_script(struct export *x, const char *name, const char *format)
{
	_cleanup_close_ int fd = -1;
	int e = export_open_file(x, name, 0755, &fd);

	if (e < 0)
		return e;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	if (dprintf(fd, format, (unsigned long long)(x->spec.limits.memory >> 20),
		    x->kernel.append) < 0)
		return export_fail_write(x, name, errno);
#pragma GCC diagnostic pop
	return 0;
}

/* The job of an Arrow that nobody keeps: its id is made up here. */
static int export_make_job(struct export *x)
{
	struct arrow_job_context context = {.name = "arrow"};
	char id[65];
	int e;

	if (hex_random(id, 32) < 0)
		return arrow_fail(x->error, EIO, "cannot make an id: %m");
	context.id = id;
	if (erofs_read_root(x->image.fd, &context.root_mode, &context.root_uid, &context.root_gid) <
		0)
		return arrow_fail(
			x->error, EBADMSG, "the root image %s is damaged", x->image.digest);
	e = arrow_job_encode(&x->job, &x->spec, &context, x->error);
	if (e < 0)
		return e;
	e = arrow_job_refresh(&x->job);
	return e < 0 ? arrow_fail(x->error, -e, "cannot describe the job: %m") : 0;
}

static int export_resolve(struct export *x, const struct arrow_paths *paths, const char *image)
{
	int e;

	arrow_spec_init(&x->spec);
	x->spec.source.program = strdup(image);
	x->spec.process.interactive = true;
	x->spec.source.pull = ARROW_PULL_NEVER;
	if (!x->spec.source.program)
		return arrow_no_memory(x->error);
	e = arrow_spec_resolve(&x->spec, paths, x->error);
	if (e < 0)
		return e;
	if (!x->spec.source.image)
		return arrow_fail(x->error, EINVAL,
			"%s is not an image: make one with 'arrow build -t NAME %s'", image, image);
	e = arrow_image_from_container(&x->image, paths, &x->spec, x->error);
	if (e < 0)
		return e;
	return arrow_kernel_open(&x->kernel, paths->stores, paths->run,
		x->spec.vm.kernel ? x->spec.vm.kernel : "general", x->error);
}

int arrow_export_folder(const struct arrow_paths *paths, const char *image, const char *directory,
	struct arrow_error *error)
{
	_cleanup_export_ struct export x = {.path = directory, .fd = -1, .error = error};
	int e;

	x.image.fd = x.kernel.fd = -1;
	e = export_resolve(&x, paths, image);
	if (e == 0)
		e = export_make_job(&x);
	if (e < 0)
		return e;
	if (rmdir(directory) < 0 && errno != ENOENT)
		return arrow_fail(
			error, errno, "cannot write to %s: %m; name an empty directory", directory);
	if (mkdir(directory, 0755) < 0)
		return arrow_fail(error, errno, "cannot make %s: %m", directory);
	x.fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (x.fd < 0)
		return arrow_fail(error, errno, "cannot open %s: %m", directory);
	e = export_copy_file(&x, x.image.fd, "root.erofs");
	if (e == 0)
		e = export_copy_file(&x, x.kernel.fd, "vmlinux");
	if (e == 0)
		e = write_initramfs(&x);
	if (e == 0)
		e = write_script(&x, "run.cmd", run_cmd);
	return e == 0 ? write_script(&x, "run.sh", run_sh) : e;
}
