// SPDX-License-Identifier: Apache-2.0
/* A directory as a layer: tar by libarchive, gzip by zlib, both without anything of the moment. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <zlib.h>

#include "image/oci/build.h"
#include "image/program.h"
#include "image/oci/libarchive.h"
#include "util/cleanup.h"
#include "util/digest.h"
#include "util/io.h"

#define PIECE ((size_t)256 * 1024)
#define XATTR_ROOM ((size_t)65536)
#define GZIP_WINDOW (15 + 16) /* 16 asks zlib for a gzip header */

/* A file of which another name was packed before. */
struct link {
	dev_t dev;
	ino_t ino;
	char *path;
};

struct packer {
	const struct oci_tree_options *options;
	struct arrow_error *error;
	struct oci_writer blob;
	z_stream gzip;
	uint8_t *out, *in; /* PIECE bytes each; owned */
	struct digest *sum;
	struct archive *tar;
	struct stat skip;
	bool has_skip;
	struct link *links;
	size_t n_links;
	int failed;
};

static int deflate_some(struct packer *p, const void *data, size_t size, int flush)
{
	int e = 0, r;

	p->gzip.next_in = (void *)(uintptr_t)data;
	p->gzip.avail_in = (unsigned int)size;
	do {
		p->gzip.next_out = p->out;
		p->gzip.avail_out = PIECE;
		r = deflate(&p->gzip, flush);
		if (r == Z_STREAM_ERROR)
			return arrow_fail(p->error, EIO, "cannot pack the layer");
		e = oci_blob_append(&p->blob, p->out, PIECE - p->gzip.avail_out, p->error);
	} while (e == 0 && p->gzip.avail_out == 0);
	return e;
}

static la_ssize_t write_tar(struct archive *a, void *arg, const void *data, size_t size)
{
	struct packer *p = arg;

	digest_add(p->sum, data, size);
	p->failed = deflate_some(p, data, size, Z_NO_FLUSH);
	return p->failed < 0 ? ARCHIVE_FATAL : (la_ssize_t)size;
}

static int fail_entry(struct packer *p, const char *path, int err)
{
	return p->error->text
		       ? -err
		       : arrow_fail(p->error, err, "cannot pack %s/%s: %m", p->options->path, path);
}

static int add_xattrs(struct packer *p, int fd, const char *path, struct archive_entry *entry)
{
	_cleanup_free_ char *names = malloc(XATTR_ROOM), *value = malloc(XATTR_ROOM);
	/* O_PATH descriptors have no xattrs; their names in /proc do. */
	_cleanup_free_ char *self = path_format("/proc/self/fd/%d", fd);
	ssize_t n;

	if (!names || !value || !self)
		return -ENOMEM;
	n = listxattr(self, names, XATTR_ROOM);
	if (n < 0)
		return errno == EOPNOTSUPP ? 0 : -errno;
	for (const char *name = names; name < names + n; name += strlen(name) + 1) {
		ssize_t size;

		/* What Linux keeps for itself, or for this host. */
		if (strncmp(name, "user.", 5) != 0 && strcmp(name, "security.capability") != 0 &&
			strncmp(name, "system.posix_acl", 16) != 0)
			continue;
		size = getxattr(self, name, value, XATTR_ROOM);
		if (size < 0)
			return -errno;
		archive_entry_xattr_add_entry(entry, name, value, (size_t)size);
	}
	return 0;
}

/* The other name of a file with several; NULL for its first. */
static const char *known_link(struct packer *p, const struct stat *st, const char *path)
{
	struct link *more;

	for (size_t i = 0; i < p->n_links; i++)
		if (p->links[i].dev == st->st_dev && p->links[i].ino == st->st_ino)
			return p->links[i].path;
	more = reallocarray(p->links, p->n_links + 1, sizeof(*more));
	if (!more)
		return NULL;
	p->links = more;
	more[p->n_links] = (struct link){st->st_dev, st->st_ino, strdup(path)};
	p->n_links += more[p->n_links].path != NULL;
	return NULL;
}

static int pack_describe(
	struct packer *p, struct archive_entry *entry, const struct stat *st, const char *path)
{
	archive_entry_copy_pathname(entry, path);
	archive_entry_set_filetype(entry, st->st_mode & S_IFMT);
	archive_entry_set_perm(entry, st->st_mode & 07777);
	archive_entry_set_uid(entry, p->options->all_root ? 0 : st->st_uid);
	archive_entry_set_gid(entry, p->options->all_root ? 0 : st->st_gid);
	if (p->options->mtime >= 0)
		archive_entry_set_mtime(entry, p->options->mtime, 0);
	else
		archive_entry_set_mtime(entry, st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
		archive_entry_set_rdevmajor(entry, major(st->st_rdev));
		archive_entry_set_rdevminor(entry, minor(st->st_rdev));
	}
	if (S_ISREG(st->st_mode))
		archive_entry_set_size(entry, st->st_size);
	return 0;
}

static int copy_content(struct packer *p, int path_fd, const char *path, off_t size)
{
	_cleanup_free_ char *self = path_format("/proc/self/fd/%d", path_fd);
	_cleanup_close_ int fd = self ? open(self, O_RDONLY | O_CLOEXEC) : -1;
	off_t done = 0;

	if (fd < 0)
		return fail_entry(p, path, errno);
	for (;;) {
		ssize_t n = read_full(fd, p->in, PIECE);

		if (n < 0)
			return fail_entry(p, path, (int)-n);
		done += n;
		if (done > size || (n == 0 && done < size))
			return arrow_fail(p->error, ESTALE,
				"%s/%s changes as it is packed; try again when nothing writes to it",
				p->options->path, path);
		if (n == 0)
			return 0;
		if (archive_write_data(p->tar, p->in, (size_t)n) != n)
			return p->failed ? p->failed : fail_entry(p, path, EIO);
	}
}

static int pack_entry(struct packer *p, int fd, const struct stat *st, const char *path)
{
	struct archive_entry *entry = archive_entry_new();
	char target[PATH_MAX];
	const char *other = NULL;
	ssize_t n;
	int e;

	if (!entry)
		return fail_entry(p, path, ENOMEM);
	e = pack_describe(p, entry, st, path);
	if (!S_ISDIR(st->st_mode) && st->st_nlink > 1)
		other = known_link(p, st, path);
	if (other) {
		archive_entry_set_hardlink(entry, other);
		archive_entry_unset_size(entry);
	} else if (S_ISLNK(st->st_mode)) {
		n = readlinkat(fd, "", target, sizeof(target) - 1);
		e = n < 0 ? -errno : 0;
		target[n < 0 ? 0 : n] = '\0';
		archive_entry_set_symlink(entry, target);
	} else {
		e = add_xattrs(p, fd, path, entry);
	}
	if (e < 0)
		e = fail_entry(p, path, -e);
	else if (archive_write_header(p->tar, entry) < ARCHIVE_WARN)
		e = p->failed ? p->failed
			      : arrow_fail(p->error, EIO, "cannot pack %s/%s: %s", p->options->path,
					path, archive_error_string(p->tar));
	if (e == 0 && !other && S_ISREG(st->st_mode))
		e = copy_content(p, fd, path, st->st_size);
	archive_entry_free(entry);
	return e;
}

static int pack_directory(struct packer *p, int fd, const char *path);

static int pack_name(struct packer *p, int dirfd, const char *path, const char *name)
{
	_cleanup_free_ char *inner = path_format("%s%s%s", path, *path ? "/" : "", name);
	_cleanup_close_ int fd = openat(dirfd, name, O_PATH | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	int e;

	if (!inner)
		return fail_entry(p, path, ENOMEM);
	if (fd < 0 || fstat(fd, &st) < 0)
		return fail_entry(p, inner, errno);
	if (p->has_skip && st.st_dev == p->skip.st_dev && st.st_ino == p->skip.st_ino)
		return 0;
	/* Nobody can connect to the socket of a program that is not there. */
	if (S_ISSOCK(st.st_mode))
		return 0;
	e = pack_entry(p, fd, &st, inner);
	return e == 0 && S_ISDIR(st.st_mode) ? pack_directory(p, fd, inner) : e;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int no_dots(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int pack_directory(struct packer *p, int fd, const char *path)
{
	_cleanup_free_ char *self = path_format("/proc/self/fd/%d", fd);
	struct dirent **names = NULL;
	int n = self ? scandir(self, &names, no_dots, by_bytes) : -1, e = 0;

	if (n < 0)
		return fail_entry(p, path, errno);
	for (int i = 0; i < n; i++) {
		if (e == 0)
			e = pack_name(p, fd, path, names[i]->d_name);
		free(names[i]);
	}
	free(names);
	return e;
}

static int pack_run(struct packer *p)
{
	_cleanup_close_ int fd = open(p->options->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int e;

	if (fd < 0 || fstat(fd, &st) < 0)
		return arrow_fail(p->error, errno, "cannot pack %s: %m", p->options->path);
	/* "restricted": headers beyond ustar only where an entry needs them. */
	if (archive_write_set_format_pax_restricted(p->tar) < ARCHIVE_WARN ||
		archive_write_set_bytes_in_last_block(p->tar, 1) < ARCHIVE_WARN ||
		archive_write_open(p->tar, p, NULL, write_tar, NULL) < ARCHIVE_WARN)
		return arrow_fail(
			p->error, EIO, "cannot pack the layer: %s", archive_error_string(p->tar));
	e = pack_entry(p, fd, &st, ".");
	if (e == 0)
		e = pack_directory(p, fd, "");
	if (e == 0 && archive_write_close(p->tar) < ARCHIVE_WARN)
		e = p->failed ? p->failed
			      : arrow_fail(p->error, EIO, "cannot pack the layer: %s",
					archive_error_string(p->tar));
	return e == 0 ? deflate_some(p, "", 0, Z_FINISH) : e;
}

static void packer_release(struct packer *p)
{
	char hex[DIGEST_HEX];

	/* Freeing closes, and closing writes: into nothing. */
	if (p->tar) {
		archive_write_fail(p->tar);
		archive_write_free(p->tar);
	}
	deflateEnd(&p->gzip);
	for (size_t i = 0; i < p->n_links; i++)
		free(p->links[i].path);
	free(p->links);
	free(p->in);
	free(p->out);
	if (p->sum)
		digest_end(p->sum, hex);
	oci_blob_end(&p->blob);
}

int oci_layer_from_tree(const struct oci_store *store, const struct oci_tree_options *options,
	struct oci_layer *layer, struct arrow_error *error)
{
	struct packer p = {.options = options, .error = error, .blob.fd = -1};
	/* Names are bytes. */
	locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0), old = uselocale(plain);
	int e = libarchive_load(error);

	*layer = (struct oci_layer){.diff_id = "sha256:"};
	if (e == 0)
		e = oci_blob_begin(&p.blob, store, NULL, UINT64_MAX, error);
	p.tar = e == 0 ? archive_write_new() : NULL;
	p.in = malloc(PIECE);
	p.out = malloc(PIECE);
	p.sum = digest_begin();
	p.has_skip = options->skip && stat(options->skip, &p.skip) == 0;
	if (e == 0 && (!p.tar || !p.in || !p.out || !p.sum ||
			      deflateInit2(&p.gzip, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW,
				      8, Z_DEFAULT_STRATEGY) != Z_OK))
		e = arrow_no_memory(error);
	if (e == 0)
		e = pack_run(&p);
	if (e == 0)
		e = oci_blob_commit(&p.blob, error);
	if (e == 0) {
		digest_end(STEAL(p.sum), layer->diff_id + strlen("sha256:"));
		layer->blob = (struct oci_descriptor){
			.media_type = strdup(OCI_TYPE_LAYER_GZIP), .size = p.blob.at};
		memcpy(layer->blob.digest, p.blob.digest, OCI_DIGEST_SIZE);
		if (!layer->blob.media_type)
			e = arrow_no_memory(error);
	}
	packer_release(&p);
	uselocale(old);
	freelocale(plain);
	return e;
}

int oci_layer_from_program(const struct oci_store *store, const char *data, const char *path,
	const char *library_path, int64_t mtime, struct oci_layer *layer, char **entrypoint,
	struct arrow_error *error)
{
	_cleanup_store_ struct image_store images = {.fd = -1};
	_cleanup_temp_ struct image_temp temp = {.fd = -1};
	_cleanup_free_ char *root = NULL;
	int e = image_store_open(&images, data, error);

	*entrypoint = NULL;
	if (e == 0)
		e = image_temp_begin(&temp, &images, error);
	if (e == 0)
		e = program_stage(&temp, path, library_path, entrypoint, error);
	if (e == 0) {
		root = path_format("%s/root", temp.path);
		e = root ? oci_layer_from_tree(store,
				   &(struct oci_tree_options){
					   .path = root, .all_root = true, .mtime = mtime},
				   layer, error)
			 : arrow_no_memory(error);
	}
	if (e < 0)
		free(STEAL(*entrypoint));
	return e;
}
