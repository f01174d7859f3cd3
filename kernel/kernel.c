// SPDX-License-Identifier: Apache-2.0
#include "kernel/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/config.h"
#include "kernel/store.h"
#include "util/checked.h"
#include "util/cleanup.h"
#include "util/io.h"

/* Compares the file with its digest unless this was done. The note of it is only a help. */
static int check_digest(struct arrow_kernel *k, const char *sha256, const char *profile,
	const char *cache_dir, struct arrow_error *error)
{
	_cleanup_free_ char *note =
		cache_dir ? path_format("%s/kernel-%s", cache_dir, k->id) : NULL;
	_cleanup_free_ char *text = checked_text(&k->fd, 1, "");
	char hex[DIGEST_HEX];
	int r;

	if (checked_find(note, text))
		return 0;

	r = digest_fd(k->fd, hex);
	if (r < 0)
		return arrow_fail(error, -r, "cannot read the kernel %s: %m", k->path);
	if (strcmp(hex, sha256) != 0)
		return arrow_fail(error, EBADMSG,
			"kernel %.12s is damaged (its digest is not the recorded one); run 'arrow kernel rm %.12s && arrow kernel build %s'",
			k->id, k->id, profile);
	checked_write(note, text);
	return 0;
}

/* A profile's name leads to what was built for it last, which may not be what it is now. */
static int check_profile(
	struct arrow_kernel *k, const char *name, const char *config, struct arrow_error *error)
{
	struct kernel_profile profile;
	int r = kernel_profile_load(&profile, name, error);

	if (r < 0)
		return r;
	if (strcmp(profile.config_hash, config) != 0)
		r = arrow_fail(error, ENOENT,
			"the kernel of profile %s was built from an older configuration; run 'arrow kernel build %s'",
			name, name);
	if (r == 0) {
		k->profile = STEAL(profile.name);
		k->append = STEAL(profile.append);
		k->vcpus_max = profile.vcpus_max;
	}
	kernel_profile_release(&profile);
	return r;
}

static int open_id(struct arrow_kernel *k, const char *store, int kernels_fd, const char *name,
	const char *cache_dir, struct arrow_error *error)
{
	json_t *json = kernel_store_read(kernels_fd, k->id);
	const char *profile, *sha256, *config, *append;
	int vcpus_max, r = 0;

	if (!json || json_unpack(json, "{s:s, s:s, s:s, s:s, s:i}", "profile", &profile, "sha256",
			     &sha256, "config_sha256", &config, "append", &append, "vcpus_max",
			     &vcpus_max) < 0) {
		json_decref(json);
		return arrow_fail(error, EBADMSG,
			"kernel %.12s is damaged (its kernel.json is missing or unreadable); run 'arrow kernel rm %.12s && arrow kernel build'",
			k->id, k->id);
	}

	if (strncmp(k->id, name, strlen(name)) == 0) {
		k->profile = strdup(profile);
		k->append = strdup(append);
		k->vcpus_max = (unsigned int)vcpus_max;
	} else {
		r = check_profile(k, name, config, error);
	}
	k->path = path_format("%s/kernels/%s/vmlinux", store, k->id);
	if (r == 0 && (!k->profile || !k->append || !k->path))
		r = arrow_fail(error, ENOMEM, "cannot open a kernel: out of memory");
	if (r == 0) {
		k->fd = open(k->path, O_RDONLY | O_CLOEXEC);
		r = k->fd < 0 ? arrow_fail(error, errno, "cannot open the kernel %s: %m", k->path)
			      : check_digest(k, sha256, profile, cache_dir, error);
	}
	json_decref(json);
	return r;
}

/* Nothing of that name is in any store: is it a profile that nobody has built, or nothing? */
static int fail_not_there(const char *name, struct arrow_error *error)
{
	struct kernel_profile profile;
	int r = kernel_profile_load(&profile, name, error);

	if (r < 0)
		return r;
	kernel_profile_release(&profile);
	return arrow_fail(error, ENOENT,
		"the kernel of profile %s is not built; run 'arrow kernel build %s'", name, name);
}

int arrow_kernel_open(struct arrow_kernel *kernel, const char *const *stores, const char *cache_dir,
	const char *name, struct arrow_error *error)
{
	_cleanup_error_ struct arrow_error stale = ARROW_ERROR_INIT;
	int r;

	*kernel = (struct arrow_kernel){.fd = -1};
	for (; *stores; stores++) {
		_cleanup_close_ int fd = kernel_store_open(*stores, false);

		r = fd < 0 ? fd : kernel_store_resolve(fd, name, kernel->id);
		if (r == -ENOENT)
			continue;
		if (r == -ENOTUNIQ)
			return arrow_fail(error, ENOTUNIQ,
				"several kernels have an id that begins with %s; give more of it",
				name);
		if (r < 0)
			return arrow_fail(error, -r, "cannot look for kernels in %s: %m", *stores);

		arrow_error_clear(&stale);
		r = open_id(kernel, *stores, fd, name, cache_dir, &stale);
		if (r == 0)
			return 0;
		arrow_kernel_release(kernel);
		/* In place of a kernel from an older configuration the next store's may do. */
		if (r != -ENOENT)
			break;
	}
	if (!stale.text)
		return fail_not_there(name, error);
	error->text = STEAL(stale.text);
	return r;
}

void arrow_kernel_release(struct arrow_kernel *kernel)
{
	close_keep_errno(kernel->fd);
	free(kernel->profile);
	free(kernel->path);
	free(kernel->append);
	*kernel = (struct arrow_kernel){.fd = -1};
}
