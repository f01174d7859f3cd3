// SPDX-License-Identifier: Apache-2.0
#include "core/template/template.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/control/channel.h"
#include "core/template/idle.h"
#include "guest/blob.h"
#include "util/checked.h"
#include "util/cleanup.h"
#include "util/digest.h"
#include "util/io.h"
#include "util/json.h"

#define BOOT_DEADLINE_MS 120000u
#define SAVE_DEADLINE_MS 60000u

/* Changes when the files of a template change their meaning. */
#define FORMAT 4
#define JSON_MAX 65536u
/* In the name of one that is set aside, between its key and a process. */
#define TEMPLATE_ASIDE ".bad."

static int template_make_key(char key[DIGEST_HEX], const char *kernel_id,
	const struct arrow_engine *engine, const struct arrow_vm_config *vm,
	struct arrow_error *error)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	int r;

	if (!f)
		return arrow_fail(error, ENOMEM, "out of memory");
	fprintf(f, "%d kernel %s '%s' loader %s owner %u\n", FORMAT, kernel_id, vm->append,
		arrow_initramfs_digest, geteuid());
	/* However many volumes there are, they are one device. */
	fprintf(f, "memory %llu vcpus %u disks %u shares %u tsc %u\n",
		(unsigned long long)vm->memory, vm->vcpus, vm->n_disks, vm->n_shares > 0,
		vm->tsc_khz);
	for (unsigned int i = 0; i < vm->n_nics; i++)
		fprintf(f, "card %d%s\n", vm->nics[i].kind, vm->nics[i].spare ? " spare" : "");
	fprintf(f, "engine %s ", engine->name);
	r = engine->identify(f, vm->mode, vm->settings, error);
	if (fclose(f) != 0 && r == 0)
		r = arrow_fail(error, ENOMEM, "out of memory");
	if (r == 0 && (r = digest_data(text, size, key)) < 0)
		r = arrow_fail(error, -r, "cannot compute the key of the template: %m");
	return r;
}

/* So that the next does not read them. */
static void template_note_checked(const struct arrow_template *t)
{
	_cleanup_free_ char *note = path_format("%s/checked", t->dir);
	_cleanup_free_ char *line = checked_text((const int[]){t->ram_fd, t->state_fd}, 2, "");

	checked_write(note, line);
}

/* Whether the files are those that were written, by their digests; once a boot and change. */
static bool template_is_whole(const struct arrow_template *t, int dir)
{
	_cleanup_free_ char *note = path_format("%s/checked", t->dir), *text = NULL;
	_cleanup_free_ char *line = checked_text((const int[]){t->ram_fd, t->state_fd}, 2, "");
	char ram[DIGEST_HEX], state[DIGEST_HEX];
	json_t *about, *digests;
	bool whole;

	if (checked_find(note, line))
		return true;
	if (read_file(dir, "template.json", JSON_MAX, &text, NULL) < 0)
		return false;
	about = json_loads(text, 0, NULL);
	digests = json_object_get(about, "digests");
	whole = digest_sparse(t->ram_fd, ram) == 0 && digest_sparse(t->state_fd, state) == 0 &&
		strcmp(json_text(digests, "ram"), ram) == 0 &&
		strcmp(json_text(digests, "state"), state) == 0;
	json_decref(about);
	if (whole)
		template_note_checked(t);
	return whole;
}

/* Opens what is in t->dir. Returns 0, or -ENOENT where there is no whole template. */
static int template_open_files(struct arrow_template *t)
{
	_cleanup_close_ int dir = open(t->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return -errno;
	/* An engine may open it for writing, which the jail turns into reading where it can. */
	t->ram_fd = openat(dir, "ram", O_RDWR | O_CLOEXEC);
	t->state_fd = openat(dir, "state", O_RDONLY | O_CLOEXEC);
	if (t->ram_fd < 0 || t->state_fd < 0 || !template_is_whole(t, dir)) {
		close_keep_errno(steal_fd(&t->ram_fd));
		close_keep_errno(steal_fd(&t->state_fd));
		return -ENOENT;
	}
	/* When it was used last; only `arrow template` asks, so a failure does not matter. */
	utimensat(dir, "template.json", NULL, 0);
	return 0;
}

/* Waits until the loader is READY. */
static int template_wait_ready(struct arrow_vm *vm, int fd, struct arrow_error *error)
{
	uint64_t end = now_ms() + BOOT_DEADLINE_MS, now;
	struct channel channel;
	struct arrow_frame frame;
	const uint8_t *payload;
	int watched = fd, r = channel_init(&channel, fd);

	if (r < 0)
		r = arrow_fail(error, -r, "cannot watch the template: %m");
	while (r == 0) {
		struct pollfd p[1 + ARROW_VM_FDS] = {{watched, POLLIN, 0}};

		for (unsigned int i = 0; i < ARROW_VM_FDS; i++)
			p[1 + i] = (struct pollfd){vm->fds[i], POLLIN, 0};
		now = now_ms();
		if (now >= end) {
			r = arrow_fail(error, ETIMEDOUT, "the template did not boot within %u s",
				BOOT_DEADLINE_MS / 1000);
			break;
		}
		if (poll(p, 1 + ARROW_VM_FDS, (int)(end - now)) < 0 && errno != EINTR) {
			r = arrow_fail(error, errno, "cannot wait for the template: %m");
			break;
		}
		for (unsigned int i = 0; i < ARROW_VM_FDS && r == 0; i++)
			if (p[1 + i].revents && vm->engine->handle(vm, i) == ARROW_VM_ENDED)
				r = arrow_fail(error, EIO, "the template did not boot: %s",
					vm->ended ? vm->ended : "its guest ended");
		if (r < 0)
			break;
		if (watched >= 0 && channel_fill(&channel) < 0)
			watched = -1; /* closed: the end of the process is about to be told */
		if (channel_next(&channel, &frame, &payload) != 1)
			continue;
		if (frame.stream != ARROW_CONTROL || frame.type != ARROW_READY)
			r = arrow_fail(error, EPROTO,
				"the template's guest sent an unexpected message instead of READY");
		break;
	}
	channel.fd = -1; /* the caller's */
	channel_release(&channel);
	return r;
}

/* Boots a VM with the files of t and saves it. */
static int template_boot_and_save(struct arrow_template *t, const struct arrow_engine *engine,
	const struct arrow_vm_config *like, struct arrow_error *error)
{
	struct arrow_disk disks[like->n_disks + 1];
	struct arrow_share shares[like->n_shares + 1];
	_cleanup_close_ int dir = open(t->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct arrow_vm_config config = *like;
	struct arrow_vm *vm = NULL;
	struct arrow_nic nics[like->n_nics + 1];
	_cleanup_close_ int disk = arrow_idle_devices.disk();
	int channel[2], console[2], r;

	if (dir < 0)
		return arrow_fail(error, errno, "cannot open %s: %m", t->dir);
	if (disk < 0)
		return arrow_fail(error, -disk, "cannot create a disk for the template: %m");
	/* Devices as a clone's, with nothing of any job behind them. */
	for (unsigned int i = 0; i < like->n_disks; i++)
		disks[i].fd = i == 0 ? disk : -1;
	for (unsigned int i = 0; i < like->n_shares; i++)
		shares[i] = (struct arrow_share){.fd = dir, .read_only = true};
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) < 0)
		return arrow_fail(error, errno, "cannot create a channel: %m");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, console) < 0) {
		r = arrow_fail(error, errno, "cannot create a console: %m");
		close(channel[0]);
		close(channel[1]);
		return r;
	}

	r = arrow_idle_nics_open(nics, like, error);
	if (r < 0) {
		close(channel[0]);
		close(channel[1]);
		close(console[0]);
		close(console[1]);
		return r;
	}
	config.nics = nics;
	config.name = "template";
	config.disks = disks;
	config.shares = shares;
	config.origin = ARROW_VM_TEMPLATE;
	config.ram_fd = t->ram_fd;
	config.state_fd = t->state_fd;
	config.userns_fd = -1;
	config.share_fd = -1;
	config.channel_fd = channel[1];
	config.console_fd = console[1];
	r = engine->start(&vm, &config, error);
	close(channel[1]);
	close(console[1]);
	if (r == 0)
		r = template_wait_ready(vm, channel[0], error);
	if (r == 0)
		r = engine->save(vm, SAVE_DEADLINE_MS, error);
	if (vm)
		engine->free(vm);
	arrow_idle_nics_close(nics, like->n_nics);
	close(channel[0]);
	close(console[0]);
	return r;
}

static int template_write_description(const struct arrow_template *t,
	const struct arrow_engine *engine, const struct arrow_vm_config *vm, const char *kernel_id,
	struct arrow_error *error)
{
	_cleanup_free_ char *path = path_format("%s/template.json", t->dir), *text = NULL;
	char created[TIME_TEXT], ram[DIGEST_HEX], state[DIGEST_HEX];
	json_t *o;
	int r;

	time_text(time(NULL), created);
	r = digest_sparse(t->ram_fd, ram);
	if (r == 0)
		r = digest_sparse(t->state_fd, state);
	if (r < 0)
		return arrow_fail(error, -r, "cannot read the template %s: %m", t->dir);
	o = json_pack("{s:s, s:s, s:s, s:s, s:I, s:i, s:i, s:b, s:{s:s, s:s}}", "created", created,
		"kernel", kernel_id, "engine", engine->name, "accel", vm->mode->name, "memory",
		(json_int_t)vm->memory, "vcpus", (int)vm->vcpus, "disks", (int)vm->n_disks,
		"volumes",
		vm->n_shares > 0 || (engine->share_channel && engine->share_channel(vm->settings)),
		"digests", "ram", ram, "state", state);
	text = o ? json_dumps(o, JSON_INDENT(2)) : NULL;
	json_decref(o);
	if (!path || !text)
		return arrow_fail(error, ENOMEM, "out of memory");
	r = write_file_atomic(AT_FDCWD, path, 0600, text, strlen(text));
	return r < 0 ? arrow_fail(error, -r, "cannot write %s: %m", path) : 0;
}

/*
 * Removes what was set aside. A process that translates code for a template may write a file into
 * it meanwhile, and who removes one may be killed: what stays is removed the next time.
 */
static void template_sweep(const char *templates)
{
	_cleanup_closedir_ DIR *dir = opendir(templates);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (strstr(entry->d_name, TEMPLATE_ASIDE))
			remove_tree(dirfd(dir), entry->d_name);
}

void arrow_template_discard(const char *dir)
{
	_cleanup_free_ char *aside = path_format("%s" TEMPLATE_ASIDE "%d", dir, (int)getpid());
	_cleanup_free_ char *templates = strndup(dir, (size_t)(strrchr(dir, '/') - dir));

	/* Renamed first: from then on nobody opens it, whatever becomes of the removal. */
	if (aside && templates && rename(dir, aside) == 0)
		template_sweep(templates);
}

/* Under the lock: makes the folder beside, and renames it. */
static int template_make(struct arrow_template *t, const char *templates, const char *kernel_id,
	const struct arrow_engine *engine, const struct arrow_vm_config *vm,
	struct arrow_error *error)
{
	_cleanup_free_ char *final = t->dir, *work = path_format("%s/new", templates);
	_cleanup_free_ char *ram = path_format("%s/new/ram", templates);
	_cleanup_free_ char *state = path_format("%s/new/state", templates);
	int r;

	t->dir = NULL;
	if (!work || !ram || !state)
		return arrow_fail(error, ENOMEM, "out of memory");
	remove_tree(AT_FDCWD, work); /* of a maker that was killed: the lock is ours */
	template_sweep(templates);
	if (mkdir(work, 0700) < 0)
		return arrow_fail(error, errno, "cannot create the template %s: %m", work);
	t->dir = STEAL(work);
	t->ram_fd = open(ram, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	t->state_fd = open(state, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (t->ram_fd < 0 || t->state_fd < 0 || ftruncate(t->ram_fd, (off_t)vm->memory) < 0)
		r = arrow_fail(error, errno, "cannot create the template %s: %m", t->dir);
	else
		r = template_boot_and_save(t, engine, vm, error);
	if (r == 0)
		r = template_write_description(t, engine, vm, kernel_id, error);
	/* After a power failure the name must not stand for less than the whole. */
	if (r == 0 && (fsync(t->ram_fd) < 0 || fsync(t->state_fd) < 0))
		r = arrow_fail(error, errno, "cannot write the template %s: %m", t->dir);
	if (r == 0)
		template_note_checked(t);
	if (r == 0 && rename(t->dir, final) < 0)
		r = arrow_fail(error, errno, "cannot rename the new template to %s: %m", final);
	if (r < 0) {
		remove_tree(AT_FDCWD, t->dir);
		return r;
	}
	free(t->dir);
	t->dir = STEAL(final);
	t->fresh = true;
	/* The state is read from its start by each clone, through a file of its own. */
	close(steal_fd(&t->ram_fd));
	close(steal_fd(&t->state_fd));
	r = template_open_files(t);
	return r < 0 ? arrow_fail(error, -r, "cannot open the template %s: %m", t->dir) : 0;
}

int arrow_template_open(struct arrow_template *t, const char *store, const char *kernel_id,
	const struct arrow_engine *engine, const struct arrow_vm_config *vm,
	const struct arrow_notes *notes, struct arrow_error *error)
{
	_cleanup_free_ char *templates = path_format("%s/templates", store);
	_cleanup_free_ char *lock = path_format("%s/templates/lock", store);
	_cleanup_close_ int lock_fd = -1;
	int r;

	*t = (struct arrow_template){.ram_fd = -1, .state_fd = -1, .code_fd = -1};
	r = template_make_key(t->key, kernel_id, engine, vm, error);
	if (r < 0)
		return r;
	t->dir = path_format("%s/templates/%s", store, t->key);
	if (!templates || !lock || !t->dir) {
		r = arrow_fail(error, ENOMEM, "out of memory");
		goto fail;
	}
	if (template_open_files(t) == 0)
		return 0;

	r = mkdir_all(templates, 0700);
	if (r == 0) {
		lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		r = lock_fd < 0 || flock(lock_fd, LOCK_EX) < 0 ? -errno : 0;
	}
	if (r < 0) {
		r = arrow_fail(error, -r, "cannot use %s: %m", templates);
		goto fail;
	}
	if (template_open_files(t) == 0) /* somebody else made it meanwhile */
		return 0;
	arrow_template_discard(t->dir); /* one that is damaged */
	if (notes)
		arrow_note(notes,
			"preparing a template for this kind of VM, once; the next start is much faster");
	r = template_make(t, templates, kernel_id, engine, vm, error);
	if (r < 0)
		goto fail;
	return 0;
fail:
	arrow_template_release(t);
	return r;
}

/* What the files of a template take of the disk, bytes. */
static json_int_t template_get_disk_usage(int templates_fd, const char *id)
{
	int fd = openat(templates_fd, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	json_int_t bytes = 0;
	struct dirent *entry;
	struct stat st;

	if (!dir)
		close_keep_errno(fd);
	while (dir && (entry = readdir(dir)))
		if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISREG(st.st_mode))
			bytes += (json_int_t)st.st_blocks * 512;
	return bytes;
}

/* What template.json says, and what its files tell. NULL for what is no template. */
static json_t *template_describe(int templates_fd, const char *id)
{
	_cleanup_free_ char *path = path_format("%s/template.json", id), *text = NULL;
	char when[TIME_TEXT];
	struct stat used;
	json_t *o;

	if (strlen(id) != DIGEST_HEX - 1 || !path ||
		read_file(templates_fd, path, 64u * 1024u, &text, NULL) < 0 ||
		fstatat(templates_fd, path, &used, AT_SYMLINK_NOFOLLOW) < 0)
		return NULL;
	o = json_loads(text, 0, NULL);
	if (!json_is_object(o)) {
		json_decref(o);
		return NULL;
	}
	time_text(used.st_mtime, when);
	json_object_set_new(o, "id", json_string(id));
	json_object_set_new(o, "bytes", json_integer(template_get_disk_usage(templates_fd, id)));
	json_object_set_new(o, "used", json_string(when));
	return o;
}

/* Opens STORE/templates. Returns NULL with errno. */
static DIR *template_open_store(const char *store)
{
	_cleanup_free_ char *path = path_format("%s/templates", store);

	return path ? opendir(path) : NULL;
}

int arrow_template_list(const char *store, json_t **list, struct arrow_error *error)
{
	_cleanup_closedir_ DIR *dir = template_open_store(store);
	struct dirent *entry;

	if (!dir && errno != ENOENT)
		return arrow_fail(error, errno, "cannot read the templates of %s: %m", store);
	*list = json_array();
	while (dir && (entry = readdir(dir))) {
		json_t *o = template_describe(dirfd(dir), entry->d_name);

		if (o)
			json_array_append_new(*list, o);
	}
	return 0;
}

int arrow_template_remove(const char *store, const char *id, struct arrow_error *error)
{
	_cleanup_closedir_ DIR *dir = template_open_store(store);
	_cleanup_free_ char *found = NULL;
	size_t size = strlen(id);
	struct dirent *entry;

	while (dir && size >= 8 && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, id, size) != 0 ||
			strlen(entry->d_name) != DIGEST_HEX - 1)
			continue;
		if (found)
			return arrow_fail(error, EEXIST, "several templates begin with %s", id);
		found = path_format("%s/templates/%s", store, entry->d_name);
	}
	if (!found)
		return arrow_fail(
			error, ENOENT, "no such template: %s; 'arrow template ls' shows them", id);
	arrow_template_discard(found);
	return 0;
}

void arrow_template_release(struct arrow_template *t)
{
	free(t->dir);
	close_keep_errno(t->ram_fd);
	close_keep_errno(t->state_fd);
	close_keep_errno(t->code_fd);
	*t = (struct arrow_template){.ram_fd = -1, .state_fd = -1, .code_fd = -1};
}
