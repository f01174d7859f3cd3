// SPDX-License-Identifier: Apache-2.0
/*
 * Theory of operation. All of a build happens in one new directory, STORE/kernels/.build-XXXXXX,
 * under the lock of the store: the unpacked source, which the profiles of one command share, and
 * one output directory a profile. What is finished is renamed to its id, then the profile's name is
 * switched to it. So a directory whose name begins with .build- is always garbage to the holder of
 * the lock: a killed build's, which the next one removes.
 */
#include "kernel/build.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "kernel/config.h"
#include "kernel/inputs.h"
#include "kernel/store.h"
#include "util/cleanup.h"
#include "util/io.h"
#include "util/process.h"

#define ROOM_NEEDED (1100ull << 20) /* of the store, while it builds: source and output */
#define NO_SPACE "No space left on device"
#define CONFIG_MAX (1u << 20)
#define PVH_NOTE 18 /* XEN_ELFNOTE_PHYS32_ENTRY */

/* Shares of a build in the progress, in percent. */
#define PERCENT_UNPACKED 8
#define PERCENT_COMPILED 97
#define UNPACK_LINES 80 /* about how often tar reports, see build_unpack() */

/* One run of arrow_kernel_build(). */
struct build {
	const char *store;
	const struct arrow_kernel_build_options *options;
	int kernels_fd;
	struct kernel_inputs inputs;
	char *dir;        /* absolute; NULL until something must be built */
	char *path_var;   /* "PATH=..." */
	char *tmpdir_var; /* "TMPDIR=..." */
	bool unpacked;

	/* The profile in the making. */
	const struct kernel_profile *profile;
	uint64_t began; /* ms */
	unsigned int lines;
	char complaint[256]; /* first line of a tool that looks like an error */
	bool no_space;
};

static void build_report(struct build *b, const char *doing, unsigned int percent)
{
	if (b->options->progress)
		b->options->progress(
			&(struct arrow_kernel_progress){
				.profile = b->profile->name,
				.doing = doing,
				.percent = percent,
				.seconds = (unsigned int)((now_ms() - b->began) / 1000),
			},
			b->options->arg);
}

/* Takes a line of tar or make: progress, or the cause of a failure to come. */
static void build_take_line(const char *line, void *arg)
{
	struct build *b = arg;
	unsigned int percent;
	const char *file;

	if (strstr(line, NO_SPACE))
		b->no_space = true;
	if (!*b->complaint && (strstr(line, "rror:") || strstr(line, ": ***")))
		snprintf(b->complaint, sizeof(b->complaint), "%s", line);

	if (!b->unpacked) {
		percent = ++b->lines * PERCENT_UNPACKED / UNPACK_LINES;
		build_report(b, "unpacking the source",
			percent < PERCENT_UNPACKED ? percent : PERCENT_UNPACKED);
		return;
	}
	/* "  CC      mm/slub.o": two spaces, what is done, and the file it gives. */
	if (strncmp(line, "  ", 2) != 0 || !(file = strrchr(line, ' ')))
		return;
	file++;
	if (strncmp(file, b->dir, strlen(b->dir)) == 0)
		file += strlen(b->dir) + 1;
	if (strncmp(line, "  CC ", 5) == 0)
		b->lines++;
	percent = PERCENT_UNPACKED +
		  (PERCENT_COMPILED - PERCENT_UNPACKED) * b->lines / b->profile->objects;
	build_report(b, file, percent < PERCENT_COMPILED ? percent : PERCENT_COMPILED);
}

/* Runs a tool in an environment of its own, so that the user's cannot change the result. */
static int build_run_tool(
	struct build *b, const char *doing, const char *const *args, struct arrow_error *error)
{
	const char *argv[48] = {"env", "-i", b->path_var, b->tmpdir_var, "LC_ALL=C", "XZ_OPT=-T0"};
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	size_t n = 6;
	int r;

	for (; *args; args++) {
		if (n == sizeof(argv) / sizeof(*argv) - 1)
			return arrow_fail(error, E2BIG, "cannot run %s: too many words", argv[6]);
		argv[n++] = *args;
	}
	r = process_run(&(struct process_options){.argv = argv,
				.cwd = b->dir,
				.line = build_take_line,
				.arg = b,
				.cancel = b->options->cancel},
		&e);
	if (r == -EINTR)
		return arrow_fail(
			error, EINTR, "the build of kernel %s was interrupted", b->profile->name);
	if (r < 0 && b->no_space)
		return arrow_fail(error, ENOSPC,
			"cannot build the kernel of profile %s: the disk of %s is full; a build needs about %llu MiB there",
			b->profile->name, b->store, ROOM_NEEDED >> 20);
	if (r < 0)
		return arrow_fail(error, -r, "cannot build the kernel of profile %s: %s: %s",
			b->profile->name, doing, *b->complaint ? b->complaint : e.text);
	return 0;
}

/* Without most of the drivers' code, of which only the Kconfig files are needed. */
static int build_unpack(struct build *b, struct arrow_error *error)
{
	const char *const argv[] = {"tar", "--extract", "--xz", "--strip-components=1",
		"--directory=src", "--no-same-owner", "--checkpoint=2000",
		"--checkpoint-action=echo=%u", "--exclude=*/drivers/gpu/*.[ch]",
		"--exclude=*/drivers/media/*.[ch]", "--exclude=*/drivers/net/ethernet/*.[ch]",
		"--exclude=*/drivers/net/wireless/*.[ch]", "--exclude=*/drivers/scsi/*.[ch]",
		"--exclude=*/drivers/staging/*.[ch]", "--exclude=*/drivers/infiniband/*.[ch]",
		"--exclude=*/sound/*.[ch]", "--exclude=*/tools/perf/*",
		"--exclude=*/tools/testing/*", "--exclude=*.rst", "--exclude=*.yaml",
		"--exclude=*.dts", "--exclude=*.dtsi", "--file", b->inputs.source, NULL};
	_cleanup_free_ char *src = path_format("%s/src", b->dir);
	int r;

	if (!src || mkdir(src, 0755) < 0)
		return arrow_fail(error, src ? errno : ENOMEM, "cannot make a directory: %m");
	build_report(b, "unpacking the source", 0);
	r = build_run_tool(b, "unpacking the source", argv, error);
	b->unpacked = r == 0;
	b->lines = 0;
	return r;
}

/* Runs make for one target. The names and the time that a kernel tells are the same everywhere. */
static int run_make(
	struct build *b, const char *doing, const char *target, struct arrow_error *error)
{
	_cleanup_free_ char *output = path_format("O=%s/out", b->dir);
	_cleanup_free_ char *jobs = NULL;
	unsigned int n = b->options->jobs;
	cpu_set_t cpus;

	if (n == 0)
		n = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? (unsigned int)CPU_COUNT(&cpus)
								   : 1;
	jobs = path_format("-j%u", n);
	if (!output || !jobs)
		return arrow_fail(error, ENOMEM, "cannot run make: out of memory");
	return build_run_tool(b, doing,
		(const char *const[]){"make", "--no-print-directory", "-C", "src", jobs, output,
			"ARCH=x86_64", "KCONFIG_ALLCONFIG=../wanted", "KBUILD_BUILD_USER=arrow",
			"KBUILD_BUILD_HOST=arrow", "KBUILD_BUILD_VERSION=1",
			"KBUILD_BUILD_TIMESTAMP=1970-01-01", target, NULL},
		error);
}

static int build_configure(struct build *b, struct arrow_error *error)
{
	_cleanup_free_ char *wanted = path_format("%s/wanted", b->dir);
	_cleanup_free_ char *dotconfig = path_format("%s/out/.config", b->dir);
	_cleanup_free_ char *text = NULL;
	int r;

	if (!wanted || !dotconfig)
		return arrow_fail(error, ENOMEM, "cannot configure a kernel: out of memory");
	r = write_file_atomic(
		AT_FDCWD, wanted, 0644, b->profile->config, strlen(b->profile->config));
	if (r < 0)
		return arrow_fail(error, -r, "cannot write to %s: %m", b->store);
	build_report(b, "configuring", PERCENT_UNPACKED);
	r = run_make(b, "configuring", "allnoconfig", error);
	if (r < 0)
		return r;
	r = read_file(AT_FDCWD, dotconfig, CONFIG_MAX, &text, NULL);
	if (r < 0)
		return arrow_fail(error, -r, "cannot read %s: %m", dotconfig);
	r = kernel_config_verify(b->profile->config, text, error);
	return r < 0 ? arrow_error_prefix(error, r, "kernel profile %s", b->profile->name) : 0;
}

static bool notes_have_pvh(Elf_Data *data)
{
	size_t at = 0, name, desc;
	GElf_Nhdr note;

	while (data && (at = gelf_getnote(data, at, &note, &name, &desc)) > 0)
		if (note.n_type == PVH_NOTE && note.n_namesz == 4 &&
			memcmp((char *)data->d_buf + name, "Xen", 4) == 0)
			return true;
	return false;
}

/* A kernel without the note would not start, and nothing would say why. */
static int check_pvh(int fd, const char *name, struct arrow_error *error)
{
	size_t count = 0;
	bool found = false;
	Elf *elf;

	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (elf && elf_getphdrnum(elf, &count) < 0)
		count = 0;
	for (size_t i = 0; i < count && !found; i++) {
		GElf_Phdr ph;

		if (gelf_getphdr(elf, (int)i, &ph) && ph.p_type == PT_NOTE)
			found = notes_have_pvh(elf_getdata_rawchunk(
				elf, (int64_t)ph.p_offset, ph.p_filesz, ELF_T_NHDR));
	}
	elf_end(elf);
	return found ? 0
		     : arrow_fail(error, ENOEXEC,
			       "the kernel of profile %s came out without a PVH entry; is pvh among its fragments?",
			       name);
}

static char *kernel_release(struct build *b)
{
	_cleanup_free_ char *path = path_format("%s/out/include/config/kernel.release", b->dir);
	char *text = NULL;

	if (path && read_file(AT_FDCWD, path, 256, &text, NULL) == 0)
		text[strcspn(text, "\n")] = '\0';
	return text;
}

/* Writes result/kernel.json. */
static int build_describe(struct build *b, int result_fd, const char *sha256,
	struct arrow_kernel_built *k, struct arrow_error *error)
{
	_cleanup_free_ char *release = kernel_release(b), *text = NULL;
	const char *archive = strrchr(b->inputs.source, '/');
	char created[TIME_TEXT];
	json_t *json;
	int r;

	time_text(time(NULL), created);
	json = json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:s}",
		"id", k->id, "profile", b->profile->name, "version", release ? release : "",
		"sha256", sha256, "size", (json_int_t)k->size, "config_sha256",
		b->profile->config_hash, "source", archive ? archive + 1 : b->inputs.source,
		"source_sha256", b->inputs.source_hash, "compiler", b->inputs.compiler, "binutils",
		b->inputs.binutils, "append", b->profile->append, "vcpus_max",
		(int)b->profile->vcpus_max, "build_seconds", (int)k->seconds, "created", created);
	text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
	json_decref(json);
	r = text ? write_file_atomic(result_fd, "kernel.json", 0644, text, strlen(text)) : -ENOMEM;
	return r < 0 ? arrow_fail(error, -r, "cannot write kernel.json in %s: %m", b->store) : 0;
}

/* Fills the directory result/ with what a kernel consists of. */
static int build_finish(struct build *b, struct arrow_kernel_built *k, struct arrow_error *error)
{
	const char *const strip[] = {
		"strip", "--strip-all", "-o", "result/vmlinux", "out/vmlinux", NULL};
	const char *const copy[] = {"cp", "out/.config", "result/config", NULL};
	/* For the addresses in a panic, and in what initcall_debug says. */
	const char *const names[] = {"cp", "out/System.map", "result/System.map", NULL};
	_cleanup_free_ char *result = path_format("%s/result", b->dir);
	_cleanup_close_ int dir = -1, fd = -1;
	char sha256[DIGEST_HEX];
	struct stat st;
	int r;

	if (!result || mkdir(result, 0755) < 0)
		return arrow_fail(
			error, result ? errno : ENOMEM, "cannot write to %s: %m", b->store);
	build_report(b, "vmlinux", PERCENT_COMPILED);
	r = build_run_tool(b, "stripping", strip, error);
	if (r == 0)
		r = build_run_tool(b, "copying", copy, error);
	if (r == 0)
		r = build_run_tool(b, "copying", names, error);
	if (r < 0)
		return r;

	dir = open(result, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = dir < 0 ? -1 : openat(dir, "vmlinux", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fchmod(fd, 0644) < 0 || fsync(fd) < 0 || fstat(fd, &st) < 0)
		return arrow_fail(error, errno, "cannot write the kernel to %s: %m", b->store);
	r = check_pvh(fd, b->profile->name, error);
	if (r < 0)
		return r;
	r = digest_fd(fd, sha256);
	if (r < 0)
		return arrow_fail(error, -r, "cannot read the new kernel in %s: %m", b->store);
	k->size = (unsigned long long)st.st_size;
	k->seconds = (unsigned int)((now_ms() - b->began + 500) / 1000);
	k->fresh = true;
	return build_describe(b, dir, sha256, k, error);
}

/* Makes the profile's name lead to a kernel, in one step. */
static int link_profile(struct build *b, const char *id, struct arrow_error *error)
{
	const char *name = b->profile->name;
	_cleanup_free_ char *tmp = path_format("%s%s", KERNEL_TEMP_PREFIX, name);
	char now[DIGEST_HEX];

	if (readlinkat(b->kernels_fd, name, now, sizeof(now)) == DIGEST_HEX - 1 &&
		memcmp(now, id, DIGEST_HEX - 1) == 0)
		return 0;
	if (!tmp)
		return arrow_no_memory(error);
	unlinkat(b->kernels_fd, tmp, 0);
	if (symlinkat(id, b->kernels_fd, tmp) < 0 ||
		renameat(b->kernels_fd, tmp, b->kernels_fd, name) < 0)
		return arrow_fail(
			error, errno, "cannot name the kernel %.12s in %s: %m", id, b->store);
	return 0;
}

/* Builds one profile's kernel from nothing and puts it in its place. */
static int build_one(struct build *b, struct arrow_kernel_built *k, struct arrow_error *error)
{
	_cleanup_free_ char *from = NULL;
	_cleanup_close_ int dir = open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = 0;

	if (dir < 0)
		return arrow_fail(error, errno, "cannot use %s: %m", b->dir);
	b->lines = 0;
	*b->complaint = '\0';
	if (!b->unpacked)
		r = build_unpack(b, error);
	if (r == 0)
		r = build_configure(b, error);
	if (r == 0)
		r = run_make(b, "compiling", "vmlinux", error);
	if (r == 0)
		r = build_finish(b, k, error);
	if (r < 0)
		return r;

	from = path_format("%s/result", b->dir);
	if (!from)
		return arrow_no_memory(error);
	/* There may be a damaged one of this id: it makes way. */
	r = remove_tree(b->kernels_fd, k->id);
	if (r < 0 && r != -ENOENT)
		return arrow_fail(error, -r, "cannot replace the kernel %.12s: %m", k->id);
	if (renameat(AT_FDCWD, from, b->kernels_fd, k->id) < 0)
		return arrow_fail(error, errno, "cannot put the kernel in %s: %m", b->store);
	remove_tree(dir, "out");
	return link_profile(b, k->id, error);
}

/* Whether the kernel is there and whole. */
static bool build_is_done(struct build *b, struct arrow_kernel_built *k)
{
	_cleanup_free_ char *path = path_format("%s/vmlinux", k->id);
	_cleanup_close_ int fd = path ? openat(b->kernels_fd, path, O_RDONLY | O_CLOEXEC) : -1;
	json_t *json = kernel_store_read(b->kernels_fd, k->id);
	char hex[DIGEST_HEX];
	bool same = json && fd >= 0 && digest_fd(fd, hex) == 0 &&
		    strcmp(hex, json_string_value(json_object_get(json, "sha256"))) == 0;

	k->fresh = false;
	k->seconds = 0;
	if (same)
		k->size = (unsigned long long)json_integer_value(json_object_get(json, "size"));
	json_decref(json);
	return same;
}

/* Makes the directory to build in, if there is room enough. */
static int build_prepare(struct build *b, struct arrow_error *error)
{
	_cleanup_free_ char *store = realpath(b->store, NULL);
	struct statvfs fs;

	if (fstatvfs(b->kernels_fd, &fs) == 0 &&
		(unsigned long long)fs.f_bavail * fs.f_frsize < ROOM_NEEDED)
		return arrow_fail(error, ENOSPC,
			"cannot build a kernel: %llu MiB are free on the disk of %s, and a build needs about %llu; make room or set ARROW_DATA_DIR",
			(unsigned long long)fs.f_bavail * fs.f_frsize >> 20, b->store,
			ROOM_NEEDED >> 20);
	b->dir = store ? path_format("%s/kernels/%sXXXXXX", store, KERNEL_TEMP_PREFIX) : NULL;
	if (!b->dir || !mkdtemp(b->dir)) {
		int r = arrow_fail(
			error, b->dir ? errno : ENOMEM, "cannot build in %s: %m", b->store);

		free(STEAL(b->dir));
		return r;
	}
	/* make cannot live with these in the name of a directory. */
	if (b->dir[strcspn(b->dir, " :\t\n#$%\\")])
		return arrow_fail(error, EINVAL,
			"cannot build a kernel in %s: make does not allow spaces and colons in the path; set ARROW_DATA_DIR to another directory",
			b->store);
	b->path_var = path_format("PATH=%s", b->options->path ? b->options->path : "/usr/bin:/bin");
	b->tmpdir_var = path_format("TMPDIR=%s", b->dir);
	return b->path_var && b->tmpdir_var ? 0 : arrow_no_memory(error);
}

/* Takes the lock, and says so if that takes long. */
static int build_take_lock(struct build *b, struct arrow_error *error)
{
	int fd = kernel_store_lock(b->kernels_fd, error);

	if (fd != -EWOULDBLOCK)
		return fd;
	if (b->options->waiting)
		b->options->waiting(b->options->arg);
	while ((fd = kernel_store_lock(b->kernels_fd, error)) == -EWOULDBLOCK) {
		if (b->options->cancel && *b->options->cancel)
			return arrow_fail(error, EINTR, "interrupted while another build went on");
		usleep(100000);
	}
	return fd;
}

static int build_all(struct build *b, const struct kernel_profile *profiles, size_t n,
	struct arrow_kernel_built *built, struct arrow_error *error)
{
	_cleanup_close_ int lock = -1;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		b->profile = &profiles[i];
		b->began = now_ms();
		r = kernel_id(profiles[i].config_hash, &b->inputs, built[i].id);
		if (r < 0)
			return arrow_fail(error, -r, "cannot hash a configuration: %m");
		if (build_is_done(b, &built[i])) {
			r = link_profile(b, built[i].id, error);
			continue;
		}
		if (lock < 0) {
			lock = build_take_lock(b, error);
			if (lock < 0)
				return lock;
			kernel_store_clean(b->kernels_fd, true);
			i--; /* who had the lock may have built it */
			continue;
		}
		if (!b->dir)
			r = build_prepare(b, error);
		if (r == 0)
			r = build_one(b, &built[i], error);
	}
	if (b->dir)
		remove_tree(AT_FDCWD, b->dir);
	return r;
}

int arrow_kernel_build(const char *store, const char *const *names,
	const struct arrow_kernel_build_options *options, struct arrow_kernel_built *built,
	struct arrow_error *error)
{
	struct build b = {.store = store, .options = options, .kernels_fd = -1};
	_cleanup_free_ struct kernel_profile *profiles = NULL;
	size_t n = 0, loaded = 0;
	int r = 0;

	while (names[n])
		n++;
	profiles = calloc(n + 1, sizeof(*profiles));
	if (!profiles)
		return arrow_no_memory(error);
	while (loaded < n && r == 0) {
		r = kernel_profile_load(&profiles[loaded], names[loaded], error);
		loaded += r == 0;
	}
	if (r == 0)
		r = kernel_inputs_find(&b.inputs, options->source, error);
	if (r == 0) {
		b.kernels_fd = kernel_store_open(store, true);
		r = b.kernels_fd < 0
			    ? arrow_fail(error, -b.kernels_fd, "cannot use the store %s: %m", store)
			    : build_all(&b, profiles, n, built, error);
	}

	while (loaded > 0)
		kernel_profile_release(&profiles[--loaded]);
	kernel_inputs_release(&b.inputs);
	close_keep_errno(b.kernels_fd);
	free(b.dir);
	free(b.path_var);
	free(b.tmpdir_var);
	return r;
}
