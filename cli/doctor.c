// SPDX-License-Identifier: Apache-2.0
/* arrow doctor: what is missing here, and the one command that mends it. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/input/options.h"
#include "cli/input/settings.h"
#include "cli/output/human.h"
#include "cli/output/print.h"
#include "cli/output/table.h"
#include "core/spec/spec.h"
#include "core/upkeep/host.h"
#include "package/remove.h"
#include "core/instance/instance.h"
#include "core/start/userns.h"
#include "image/image.h"
#include "kernel/build.h"
#include "net/settle.h"
#include "util/cleanup.h"
#include "util/io.h"

#define DATA_ROOM (64ull << 20) /* bytes; the image of a large program */
#define RUN_ROOM (1ull << 20)   /* bytes; the state of a few Arrows */
#define SUBIDS 65536u           /* as useradd gives */

enum { OPT_FIX = 256 };

static const struct argp_option options[] = {
	{"fix", OPT_FIX, 0, 0,
		"Remove what killed Arrows and builds left behind, and damaged kernels", 0},
	CLI_FORMAT_OPTION,
	{0},
};

struct input {
	bool json, fix;
};

static error_t doctor_parse(int key, char *value, struct argp_state *state)
{
	struct input *in = state->input;

	switch (key) {
	case OPT_FIX:
		in->fix = true;
		return 0;
	case CLI_FORMAT_KEY:
		in->json = cli_format_is_json(value, state);
		return 0;
	case ARGP_KEY_ARG:
		cli_argument_error(state, "too many arguments: '%s'", value);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp doctor_argp = {options, doctor_parse, NULL,
	"Check whether Arrow can run programs on this host, and say how to fix what is missing.\v"
	"The result of a check is 'ok', 'fixed' (just now, by --fix), 'optional' (Arrow works without it) or 'missing'. "
	"Exit status: 0 if nothing is missing, 1 if something is, 125 if Arrow failed.",
	NULL, NULL, NULL};

/* How a check ended. */
enum state { OK, FIXED, OPTIONAL, MISSING };
static const char *const states[] = {"ok", "fixed", "optional", "missing"};

struct doctor {
	json_t *rows; /* of strings: state, check, text, mend */
	bool fix;
	bool missing;
};

/* Notes a check. mend: the command that mends it, or NULL. */
static void doctor_note(struct doctor *d, enum state state, const char *check, const char *mend,
	const char *fmt, ...) ARROW_PRINTF(5, 6);

static void doctor_note(struct doctor *d, enum state state, const char *check, const char *mend,
	const char *fmt, ...)
{
	va_list ap;
	json_t *text;

	va_start(ap, fmt);
	text = json_vsprintf(fmt, ap);
	va_end(ap);
	d->missing |= state == MISSING;
	json_array_append_new(d->rows, json_pack("{s:s, s:s, s:o, s:s?}", "state", states[state],
					       "check", check, "text", text, "mend", mend));
}

/* A number of things that are wrong, and what --fix did to them. */
static void doctor_note_found(struct doctor *d, const char *check, unsigned int found,
	const char *wrong, const char *mended)
{
	if (found == 0)
		doctor_note(d, OK, check, NULL, "none");
	else if (d->fix)
		doctor_note(d, FIXED, check, NULL, "%s: %u", mended, found);
	else
		doctor_note(d, OPTIONAL, check, "arrow doctor --fix", "%s: %u", wrong, found);
}

/* Something that was left behind: its number, counted or removed. */
static void doctor_note_left(struct doctor *d, const char *check, const char *what, int r,
	unsigned int found, const struct arrow_error *error)
{
	char removed[80];

	snprintf(removed, sizeof(removed), "removed %s", what);
	if (r < 0)
		doctor_note(d, OPTIONAL, check, NULL, "%s", error->text);
	else
		doctor_note_found(d, check, found, what, removed);
}

static void doctor_check_leftovers(struct doctor *d, const struct arrow_paths *paths)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	unsigned int found = 0;
	int r;

	r = arrow_cleanup(paths, d->fix, &found, &error);
	doctor_note_left(d, "leftover Arrows", "Arrows whose keeper was killed", r, found, &error);
	arrow_error_clear(&error);
	r = arrow_image_cleanup(paths->data, d->fix, &found, &error);
	doctor_note_left(d, "leftover images", "partly written images", r, found, &error);
	arrow_error_clear(&error);
	r = arrow_kernel_cleanup(paths->data, d->fix, &found, &error);
	doctor_note_left(
		d, "leftover builds", "partly built or partly removed kernels", r, found, &error);
}

/* What killed parts left of networks, and what somebody removed. */
static void doctor_check_networks(struct doctor *d, const struct arrow_paths *paths)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct net_findings f;

	if (net_settle(paths, d->fix, &f, &error) < 0) {
		doctor_note(d, OPTIONAL, "networks", NULL, "%s", error.text);
		return;
	}
	doctor_note_found(d, "leftover addresses", f.dead, "addresses and names of killed Arrows",
		"removed addresses and names of killed Arrows");
	doctor_note_found(d, "leftover networks", f.left, "networks that are up without an Arrow",
		"took down networks without an Arrow");
	doctor_note_found(d, "unwatched networks", f.alone, "networks whose watch was killed",
		"restarted their watches");
	doctor_note_found(d, "broken networks", f.broken,
		"networks without their rules, names or bridge",
		"restored rules, names and bridges");
}

struct image_check {
	struct doctor *d;
	unsigned int wrong;
};

static void doctor_note_image(const char *digest, const char *what, void *arg)
{
	struct image_check *c = arg;
	bool damaged = strcmp(what, "damaged") == 0;

	c->wrong++;
	if (damaged && c->d->fix)
		doctor_note(c->d, FIXED, "damaged image", NULL, "removed the blob %.19s", digest);
	else
		doctor_note(c->d, OPTIONAL, damaged ? "damaged image" : "incomplete image",
			damaged ? "arrow doctor --fix" : "pull or load the image again",
			"the blob %.19s is %s", digest, what);
}

/* The image store: what is in it is what its names say. */
static void doctor_check_images(struct doctor *d, const struct arrow_paths *paths)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct image_check c = {.d = d};
	unsigned int checked, left;
	int r = arrow_images_verify(paths, d->fix, &checked, &left, doctor_note_image, &c, &error);

	if (r < 0)
		doctor_note(d, OPTIONAL, "image store", NULL, "%s", error.text);
	else if (c.wrong == 0)
		doctor_note(d, OK, "image digests", NULL, "%u checked", checked);
	if (r == 0)
		doctor_note_left(d, "unused images", "blobs and root images that no image uses", r,
			left, &error);
}

static void doctor_check_damaged(struct doctor *d, const struct arrow_paths *paths,
	const char *store, const char *id, const char *profile)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_free_ char *mend = NULL;
	bool own = strcmp(store, paths->data) == 0;

	if (own && d->fix) {
		if (arrow_kernel_remove(store, id, &error) < 0)
			doctor_note(d, OPTIONAL, "damaged kernel", NULL, "%s", error.text);
		else
			doctor_note(d, FIXED, "damaged kernel", NULL, "removed %.12s (%s)", id,
				profile);
		return;
	}
	mend = path_format("sudo arrow kernel rm %.12s", id);
	doctor_note(d, OPTIONAL, "damaged kernel", own ? "arrow doctor --fix" : mend,
		"%.12s (%s) in %s", id, profile, store);
}

/* The digests of all kernels, whether a profile names them or not. */
static void doctor_check_digests(struct doctor *d, const struct arrow_paths *paths)
{
	unsigned int whole = 0, damaged = 0;

	for (const char *const *store = paths->stores; *store; store++) {
		_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
		const char *const stores[] = {*store, NULL};
		json_t *list, *kernel;
		size_t i;

		if (arrow_kernel_list(stores, true, &list, &error) < 0) {
			doctor_note(d, OPTIONAL, "kernel store", NULL, "%s", error.text);
			continue;
		}
		json_array_foreach (list, i, kernel) {
			const char *profile = json_string_value(json_object_get(kernel, "profile"));
			const char *id = json_string_value(json_object_get(kernel, "id"));
			const char *state = json_string_value(json_object_get(kernel, "state"));

			if (strcmp(state, "damaged") != 0) {
				whole++;
				continue;
			}
			damaged++;
			doctor_check_damaged(
				d, paths, *store, id, profile ? profile : "unreadable");
		}
		json_decref(list);
	}
	if (damaged == 0)
		doctor_note(d, OK, "kernel digests", NULL, "%u checked", whole);
}

static void doctor_check_dir(struct doctor *d, const char *check, const struct arrow_host_dir *dir,
	const char *variable, unsigned long long room)
{
	_cleanup_free_ char *mend = path_format("export %s=DIR", variable);
	_cleanup_free_ char *size = human_binary_size(dir->free);

	if (!dir->writable)
		doctor_note(d, MISSING, check, mend, "%s is not writable", dir->path);
	else if (dir->free < room)
		doctor_note(d, MISSING, check, mend, "only %s are free in %s", size, dir->path);
	else
		doctor_note(d, OK, check, NULL, "%s, %s free", dir->path, size);
}

static void doctor_check_engine(struct doctor *d, const struct arrow_host *h)
{
	const struct arrow_kvm_verdict *kvm = &h->choice.kvm;

	for (unsigned int i = 0; i < h->n_engines; i++) {
		const struct arrow_host_engine *e = &h->engines[i];
		_cleanup_free_ char *mend = NULL;

		if (e->engine->package)
			mend = path_format("sudo apt-get install %s%s",
				e->path ? "--reinstall " : "", e->engine->package);
		if (!e->problem && (e->own || !e->path))
			doctor_note(d, OK, e->engine->name, NULL, "%s", e->version);
		else if (!e->problem)
			doctor_note(d, OPTIONAL, e->engine->name, "sudo make hypervisor",
				"%s; the one built for Arrow starts faster and takes less memory",
				e->version);
		else if (!e->path && e->engine->program)
			doctor_note(d, e->engine == h->choice.engine ? MISSING : OPTIONAL,
				e->engine->name, mend, "%s is not installed", e->engine->program);
		else
			doctor_note(d, e->engine == h->choice.engine ? MISSING : OPTIONAL,
				e->engine->name, mend, "%s", e->problem);
	}
	doctor_note(d, kvm->usable ? OK : OPTIONAL, "KVM", kvm->mend[0] ? kvm->mend : NULL, "%s%s",
		kvm->usable ? "" : "programs run slower by TCG; ", kvm->reason);
	if (h->mkfs)
		doctor_note(d, OK, ARROW_IMAGE_TOOL, NULL, "%s", h->mkfs);
	else
		doctor_note(d, MISSING, ARROW_IMAGE_TOOL,
			"sudo apt-get install " ARROW_IMAGE_PACKAGE,
			"not installed; required to build root images");
}

/* What building the kernels that are not there takes, if that is not there either. */
static void doctor_check_build(struct doctor *d, bool needed)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_free_ char *packages = NULL, *mend = NULL;

	if (arrow_kernel_build_needs(&packages, &error) < 0)
		return;
	if (*packages == '\0') {
		doctor_note(d, OK, "kernel build", NULL, "source and tools are installed");
		return;
	}
	mend = path_format("sudo apt-get install %s", packages);
	doctor_note(d, needed ? MISSING : OPTIONAL, "kernel build", mend, "not installed: %s",
		packages);
}

static void doctor_check_kernels(struct doctor *d, const struct arrow_host *h)
{
	bool all = true;

	for (unsigned int i = 0; i < h->n_kernels; i++)
		all &= h->kernels[i].problem == NULL;
	doctor_check_build(d, !all);
	for (unsigned int i = 0; i < h->n_kernels; i++) {
		const struct arrow_host_kernel *k = &h->kernels[i];
		_cleanup_free_ char *check = path_format("kernel %s", k->profile);
		_cleanup_free_ char *mend = path_format("arrow kernel build %s", k->profile);

		if (!k->problem)
			doctor_note(d, OK, check, NULL, "%.12s", k->id);
		else if (strcmp(k->state, "missing") == 0)
			doctor_note(d, MISSING, check, mend, "not built");
		else if (strcmp(k->state, "old") == 0)
			doctor_note(d, MISSING, check, mend, "built for another version of Arrow");
		else
			doctor_note(d, MISSING, check, mend, "%s", k->state);
	}
}

static bool doctor_sysctl_is(const char *path, const char *value)
{
	_cleanup_free_ char *text = NULL;

	return read_file(AT_FDCWD, path, 64, &text, NULL) == 0 &&
	       strncmp(text, value, strlen(value)) == 0 && text[strlen(value)] == '\n';
}

/* Which of the switches that forbid user namespaces is set; NULL if none that is known. */
static const char *doctor_mend_userns(void)
{
	if (doctor_sysctl_is("/proc/sys/kernel/unprivileged_userns_clone", "0"))
		return "sudo sysctl -w kernel.unprivileged_userns_clone=1";
	if (doctor_sysctl_is("/proc/sys/user/max_user_namespaces", "0"))
		return "sudo sysctl -w user.max_user_namespaces=10000";
	if (doctor_sysctl_is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"))
		return "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0";
	return NULL;
}

/* Gives a user without ids a range that nobody has. */
static char *doctor_mend_subid(const char *user)
{
	_cleanup_free_ char *uids = NULL, *gids = NULL;
	uint32_t first, other;

	if (read_file(AT_FDCWD, ARROW_SUBUID, 1u << 20, &uids, NULL) < 0)
		uids = strdup("");
	if (read_file(AT_FDCWD, ARROW_SUBGID, 1u << 20, &gids, NULL) < 0)
		gids = strdup("");
	if (!uids || !gids)
		return NULL;
	first = arrow_subid_free(uids, SUBIDS);
	other = arrow_subid_free(gids, SUBIDS);
	if (!first || !other)
		return NULL;
	return path_format("sudo usermod --add-subuids %u-%u --add-subgids %u-%u %s", first,
		first + SUBIDS - 1, other, other + SUBIDS - 1, user);
}

/* What an ordinary user's volumes and root directories need; root needs none of it. */
static void doctor_check_user(struct doctor *d, const struct arrow_host *h)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_free_ char *mend = NULL;
	int fd = -1;

	if (h->uid == 0) {
		doctor_note(d, OK, "user", NULL, "root");
		return;
	}
	if (h->userns_err) {
		doctor_note(d, OPTIONAL, "volumes", doctor_mend_userns(),
			"-v and --rootfs require a user namespace: %s", strerror(h->userns_err));
		return;
	}
	if (arrow_userns_create(&fd, &error) < 0) {
		doctor_note(d, OPTIONAL, "volumes", NULL, "%s", error.text);
		return;
	}
	close(fd);
	doctor_note(d, OK, "volumes", NULL, "user namespaces work");
	if (!h->subuids.count || !h->subgids.count) {
		mend = doctor_mend_subid(h->user);
		doctor_note(d, OPTIONAL, "user ids", mend,
			"all files in -v and --rootfs belong to you: no ids in " ARROW_SUBUID);
	} else if (!h->newuidmap) {
		doctor_note(d, OPTIONAL, "user ids", "sudo apt-get install uidmap",
			"all files in -v and --rootfs belong to you: newuidmap is not installed");
	} else {
		doctor_note(d, OK, "user ids", NULL, "%u users, %u groups", h->subuids.count,
			h->subgids.count);
	}
}

/* What holds a VM's process. */
static void doctor_check_confinement(struct doctor *d, const struct arrow_host *h)
{
	if (h->jail_own_user)
		doctor_note(d, OK, "jail", NULL, "each VM has its own user and namespaces");
	else if (h->jail_namespaces)
		doctor_note(d, OK, "jail", NULL, "each VM has its own namespaces");
	else
		doctor_note(d, OPTIONAL, "jail", doctor_mend_userns(),
			"cannot create namespaces: QEMU runs with your rights, restricted only by a system call filter");
	for (unsigned int i = 0; i < ARROW_HOST_GROUPS; i++)
		if (!h->groups[i])
			doctor_note(d, OPTIONAL, "limits", NULL,
				"cannot create a control group for %s: its limits apply in the guest only, or not at all",
				arrow_host_controllers[i]);
}

static void doctor_check_memory(struct doctor *d, const struct arrow_host *h)
{
	_cleanup_free_ char *size = human_binary_size(h->memory_available);

	if (h->memory_available < ARROW_MEMORY_MIN)
		doctor_note(d, MISSING, "memory", NULL, "only %s are available", size);
	else if (h->memory_available < ARROW_DEFAULT_MEMORY)
		doctor_note(d, OPTIONAL, "memory", NULL, "only %s are available; give less with -m",
			size);
	else
		doctor_note(d, OK, "memory", NULL, "%s are available", size);
}

static int doctor_examine(struct doctor *d, struct arrow_error *error)
{
	_cleanup_error_ struct arrow_error why = ARROW_ERROR_INIT;
	struct arrow_paths paths = {0};
	struct arrow_host host;
	bool has_paths = cli_paths_init(&paths, &why) == 0;
	int r;

	/* Mended first, so that what follows tells how things are now. */
	if (has_paths) {
		doctor_check_leftovers(d, &paths);
		doctor_check_networks(d, &paths);
		doctor_check_digests(d, &paths);
		doctor_check_images(d, &paths);
	} else {
		doctor_note(d, MISSING, "directories",
			"export ARROW_DATA_DIR=DIR ARROW_RUN_DIR=DIR", "%s", why.text);
	}
	r = arrow_host_look(&host, has_paths ? &paths : NULL, error);
	if (r == 0) {
		if (has_paths) {
			doctor_check_dir(
				d, "data directory", &host.data, "ARROW_DATA_DIR", DATA_ROOM);
			doctor_check_dir(
				d, "state directory", &host.run, "ARROW_RUN_DIR", RUN_ROOM);
		}
		doctor_check_engine(d, &host);
		doctor_check_kernels(d, &host);
		doctor_check_user(d, &host);
		doctor_check_confinement(d, &host);
		doctor_check_memory(d, &host);
		arrow_host_release(&host);
	}
	arrow_paths_release(&paths);
	return r;
}

static char *doctor_format_mend(const json_t *row, const void *arg)
{
	const char *text = json_string_value(json_object_get(row, "text"));
	const char *mend = json_string_value(json_object_get(row, "mend"));

	return path_format("%s%s%s", text, mend ? ": " : "", mend ? mend : "");
}

int cmd_doctor(int argc, char **argv)
{
	static const struct cli_column columns[] = {{NULL, "state", NULL}, {NULL, "check", NULL},
		{NULL, NULL, doctor_format_mend}, {0}};
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct input in = {0};
	struct doctor d = {0};
	int status;

	cli_parse(&doctor_argp, argc, argv, 0, &in);
	d.fix = in.fix;
	d.rows = json_array();
	if (doctor_examine(&d, &error) < 0) {
		status = cli_error_of_program(&error);
	} else {
		status = in.json ? cli_print_json(d.rows) : cli_print_table(d.rows, columns, NULL);
		if (status)
			status = ARROW_STATUS_ERROR;
		if (!in.json && status == 0)
			puts(d.missing ? "\nSomething that Arrow needs is missing."
				       : "\nArrow can run programs here.");
		if (status == 0)
			status = d.missing;
	}
	json_decref(d.rows);
	return status;
}
