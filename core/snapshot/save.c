// SPDX-License-Identifier: Apache-2.0
/* arrow save: the keeper writes its VM to a file, and this process makes of it what others start
 * from. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/client/manage.h"
#include "core/control/control.h"
#include "core/instance/instance.h"
#include "core/snapshot/saved.h"
#include "core/template/idle.h"
#include "core/spec/settings.h"
#include "image/store.h"
#include "util/cleanup.h"
#include "util/io.h"

/* Asks before anything is stopped; the keeper knows best, but says it later. */
static int save_check_arrow(
	const struct arrow_instance *i, const struct arrow_spec *spec, struct arrow_error *error)
{
	if (spec->files.n_volumes > 0)
		return arrow_fail_status(error, 1, EBUSY,
			"Arrow %s has volumes, which are files of the host and cannot be saved with it",
			i->name);
	if (i->state.life == ARROW_LIFE_PAUSED)
		return arrow_fail_status(
			error, 1, EBUSY, "Arrow %s is paused: unpause it first", i->name);
	if (!arrow_instance_is_kept(i))
		return arrow_fail_status(error, 1, ESRCH, "Arrow %s is not running", i->name);
	return 0;
}

static int save_ask_keeper(const struct arrow_instance *i, const struct arrow_saving *saving,
	bool stay, struct arrow_error *error)
{
	size_t n = strlen(saving->stream);
	_cleanup_free_ uint8_t *payload = malloc(ARROW_SNAPSHOT_HEAD + n);

	if (!payload)
		return arrow_fail(error, ENOMEM, "out of memory");
	arrow_snapshot_encode(payload, stay);
	memcpy(payload + ARROW_SNAPSHOT_HEAD, saving->stream, n);
	return control_ask(i, ARROW_SNAPSHOT, payload, ARROW_SNAPSHOT_HEAD + n, 0, NULL, error);
}

/* The root image: of the store, or of the directory that it was restored from itself. */
static int save_open_root(const struct arrow_paths *paths, const struct arrow_instance *i,
	const struct arrow_spec *spec, struct arrow_error *error)
{
	_cleanup_store_ struct image_store store = {.fd = -1};
	_cleanup_free_ char *path = NULL;
	int fd = -1, r;

	if (spec->source.from) {
		path = path_format("%s/root", spec->source.from);
		fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
		return fd < 0 ? arrow_fail(
					error, errno, "cannot open %s/root: %m", spec->source.from)
			      : fd;
	}
	r = image_store_open(&store, paths->data, error);
	if (r == 0 && image_store_find(&store, i->state.image, &fd) < 0)
		r = arrow_fail(error, ENOENT, "the root image of Arrow %s is not in %s any more",
			i->name, store.path);
	return r < 0 ? r : fd;
}

/* What was written is made whole: with its root image and cards. */
static int save_finish(struct arrow_saving *saving, const struct arrow_paths *paths,
	struct arrow_instance *i, const struct arrow_spec *spec, struct arrow_error *error)
{
	_cleanup_close_ int root_fd = -1;
	struct arrow_nic nics[NET_CARDS_MAX];
	struct net_plan plan;
	struct arrow_saved_facts facts = {
		.spec = spec,
		.id = i->id,
		.name = i->name,
		.kernel = i->state.kernel,
		.image = i->state.image,
		.engine = i->state.engine,
		.accel = i->state.accel,
		.settings = arrow_settings_engine(paths),
		.nics = nics,
	};
	int r;

	/* The keeper has written what it found out into the state. */
	arrow_state_release(&i->state);
	r = arrow_state_read(i->dir_fd, &i->state);
	if (r < 0)
		return arrow_fail(error, -r, "cannot read the state of Arrow %s: %m", i->name);
	facts.stdin_open = spec->process.interactive && !i->state.stdin_closed;
	r = net_plan(&plan, (const char *const *)spec->net.names.v, error);
	if (r == 0)
		r = root_fd = save_open_root(paths, i, spec, error);
	if (r >= 0) {
		facts.n_nics = i->state.cards > plan.n && i->state.cards <= NET_CARDS_MAX
				       ? i->state.cards
				       : plan.n;
		for (unsigned int n = 0; n < facts.n_nics; n++)
			nics[n] = (struct arrow_nic){
				.kind = arrow_nic_kind(net_plan_kind(&plan, n)), .fd = -1};
		facts.root_fd = root_fd;
		r = arrow_saving_finish(saving, paths, &facts, error);
	}
	return r;
}

int arrow_save(const struct arrow_paths *paths, const char *name, const char *dir, bool stop,
	struct arrow_error *error)
{
	struct arrow_saving saving = {.partial_fd = -1};
	struct arrow_instance i = {.dir_fd = -1, .lock_fd = -1};
	struct arrow_spec spec;
	char id[ARROW_ID_HEX];
	int r;

	arrow_spec_init(&spec);
	r = arrow_instance_find(paths, name, id, error);
	if (r == 0)
		r = arrow_instance_open(&i, paths, id, &spec, error);
	if (r == 0)
		r = save_check_arrow(&i, &spec, error);
	if (r == 0)
		r = arrow_saving_begin(&saving, dir, error);
	if (r == 0) {
		r = save_ask_keeper(&i, &saving, stop, error);
		if (r < 0)
			r = arrow_error_prefix(error, r, "cannot save Arrow %s", i.name);
	}
	if (r == 0) {
		r = save_finish(&saving, paths, &i, &spec, error);
		/* Paused for the end that does not come now. */
		if (r < 0 && stop) {
			_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;

			if (arrow_pause(paths, i.id, false, &ignored) < 0)
				arrow_error_clear(&ignored);
		} else if (r == 0 && stop) {
			r = arrow_kill(paths, i.id, SIGKILL, error);
		}
	}
	arrow_saving_end(&saving);
	arrow_instance_release(&i);
	arrow_spec_release(&spec);
	return r;
}
