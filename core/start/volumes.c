// SPDX-License-Identifier: Apache-2.0
#include "core/start/volumes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/instance/instance.h"
#include "core/spec/parse.h"
#include "util/cleanup.h"
#include "util/io.h"
#include "volume/volume.h"

/* "ARROW[:ro|rw]". As Docker: what has a place already is not taken. */
static int volumes_add_from(const struct arrow_paths *paths, struct arrow_spec *spec,
	const char *text, struct arrow_error *error)
{
	_cleanup_free_ char *name = strndup(text, strcspn(text, ":"));
	const char *mode = strchr(text, ':');
	struct arrow_instance other;
	struct arrow_spec theirs;
	char id[ARROW_ID_HEX];
	int r;

	if (!name)
		return arrow_no_memory(error);
	if (mode && strcmp(mode, ":ro") != 0 && strcmp(mode, ":rw") != 0)
		return arrow_fail(
			error, EINVAL, "--volumes-from: unknown mode '%s'; use ro or rw", mode + 1);
	r = arrow_instance_find(paths, name, id, error);
	if (r < 0) {
		error->status =
			ARROW_STATUS_ERROR; /* of a start, whatever it is of the other one */
		return arrow_error_prefix(error, r, "--volumes-from");
	}
	r = arrow_instance_open(&other, paths, id, &theirs, error);
	for (size_t i = 0; r == 0 && i < theirs.files.n_volumes; i++) {
		struct arrow_volume *v = &theirs.files.volumes[i];

		if (arrow_spec_has_mount(spec, v->guest))
			continue;
		v->read_only |= mode && strcmp(mode, ":ro") == 0;
		r = arrow_spec_add_volume(spec, v, error);
	}
	arrow_instance_release(&other);
	arrow_spec_release(&theirs);
	return r;
}

static int volumes_make_named(const char *data, struct arrow_volume *v, struct arrow_error *error)
{
	const struct volume_wish wish = {
		.name = v->name,
		.labels = (const char *const *)v->labels.v,
		.options = (const char *const *)v->options.v,
	};
	_cleanup_volume_ struct volume made = {0};
	int r = volume_create(&made, data, &wish, error);

	if (r < 0)
		return r;
	v->anonymous |= v->name[0] == '\0';
	free(v->name);
	v->name = STEAL(made.name);
	free(v->host);
	v->host = STEAL(made.dir);
	return 0;
}

/* As Docker does for -v, with the owner and mode of any directory that root makes. */
static int volumes_make_directory(const struct arrow_volume *v, struct arrow_error *error)
{
	int r = access(v->host, F_OK) == 0 || errno != ENOENT ? 0 : mkdir_all(v->host, 0755);

	return r < 0 ? arrow_fail(error, -r, "cannot create the volume %s: %m", v->host) : 0;
}

static int volumes_check_places(const struct arrow_spec *spec, struct arrow_error *error)
{
	for (size_t i = 0; i < spec->files.n_volumes; i++) {
		const char *guest = spec->files.volumes[i].guest;
		unsigned int n = 0;

		for (size_t k = 0; k < spec->files.n_volumes; k++)
			n += strcmp(spec->files.volumes[k].guest, guest) == 0;
		for (size_t k = 0; k < spec->files.n_tmpfs; k++)
			n += strcmp(spec->files.tmpfs[k].guest, guest) == 0;
		if (n > 1)
			return arrow_fail(
				error, EINVAL, "two mounts have the same target: %s", guest);
	}
	return 0;
}

int run_make_volumes(const struct arrow_paths *paths, struct arrow_spec *spec, int *lock,
	struct arrow_error *error)
{
	bool named = spec->files.volumes_from.n > 0;
	int r = 0;

	*lock = -1;
	for (size_t i = 0; i < spec->files.n_volumes; i++)
		named |= spec->files.volumes[i].name != NULL;
	if (named) {
		*lock = volume_lock(paths->data, false, true, error);
		r = *lock < 0 ? *lock : 0;
	}
	for (size_t i = 0; r == 0 && i < spec->files.volumes_from.n; i++)
		r = volumes_add_from(paths, spec, spec->files.volumes_from.v[i], error);
	if (r == 0)
		r = volumes_check_places(spec, error);
	for (size_t i = 0; r == 0 && i < spec->files.n_volumes; i++) {
		struct arrow_volume *v = &spec->files.volumes[i];

		if (v->name)
			r = volumes_make_named(paths->data, v, error);
		else if (v->make)
			r = volumes_make_directory(v, error);
	}
	return r;
}

int run_open_volume(const struct arrow_volume *v, struct arrow_error *error)
{
	/* A guest may have made links in a volume. */
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH};
	_cleanup_close_ int fd = open(v->host, O_PATH | O_CLOEXEC);
	int part;

	if (fd < 0 && v->name)
		return arrow_fail(error, errno,
			"cannot open the volume %s: %m; 'arrow volume create %s' makes it anew",
			v->name, v->name);
	if (fd < 0)
		return arrow_fail(error, errno,
			"cannot open the volume %s: %m; create it first, or correct the path",
			v->host);
	if (!v->subpath)
		return steal_fd(&fd);
	part = (int)syscall(SYS_openat2, fd, v->subpath, &how, sizeof(how));
	if (part < 0 && errno == EXDEV)
		return arrow_fail(error, EXDEV,
			"cannot open %s of the volume %s: it leads out of the volume", v->subpath,
			v->name);
	return part < 0 ? arrow_fail(error, errno, "cannot open %s of the volume %s: %m",
				  v->subpath, v->name)
			: part;
}
