// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "image/oci/image.h"
#include "registry/pool.h"
#include "registry/progress.h"
#include "registry/transfer.h"
#include "util/cleanup.h"
#include "util/io.h"

struct blob {
	struct oci_descriptor descriptor;
	char *from; /* a repository of the same registry that may have it, or NULL */
	int layer;  /* its number in progress */
};

struct push {
	const struct transfer_options *options;
	struct registry *r;
	struct progress *progress;
	struct blob *blobs;
	size_t n;
};

/* A blob on its way. */
struct sending {
	struct push *p;
	int layer;
};

static void push_release(struct push *p)
{
	progress_end(p->progress);
	for (size_t i = 0; i < p->n; i++) {
		oci_descriptor_release(&p->blobs[i].descriptor);
		free(p->blobs[i].from);
	}
	free(p->blobs);
}

static struct blob *find_blob(const struct push *p, const char *digest)
{
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->blobs[i].descriptor.digest, digest) == 0)
			return &p->blobs[i];
	return NULL;
}

static int add_blob(struct push *p, const struct oci_descriptor *d, struct arrow_error *error)
{
	struct blob *more;

	if (find_blob(p, d->digest))
		return 0;
	more = realloc(p->blobs, (p->n + 1) * sizeof(*more));
	if (!more)
		return arrow_no_memory(error);
	p->blobs = more;
	more[p->n] = (struct blob){.layer = -1};
	if (oci_descriptor_copy(&more[p->n].descriptor, d) < 0)
		return arrow_no_memory(error);
	more[p->n].layer = progress_add(p->progress, d->digest, d->size, "Preparing");
	return more[p->n++].layer < 0 ? arrow_no_memory(error) : 0;
}

/* Reads a manifest of the store and notes its blobs. */
static int add_manifest(struct push *p, const struct oci_descriptor *d, const char *name,
	char **data, struct arrow_error *error)
{
	_cleanup_manifest_ struct oci_manifest m = {0};
	int e = oci_blob_read(p->options->store, d, OCI_MANIFEST_MAX, data, error);

	if (e == 0)
		e = oci_manifest_parse(&m, *data, d->size, name, error);
	for (size_t i = 0; e == 0 && i < m.n_layers; i++)
		e = add_blob(p, &m.layers[i], error);
	return e < 0 ? e : add_blob(p, &m.config, error);
}

/*
 * Other repositories of the registry from which blobs can be mounted: those whose names images of
 * the store have. That they are there in the registry, too, is likely and not sure.
 */
static void find_sources(struct push *p, const struct oci_reference *reference)
{
	const struct oci_store *store = p->options->store;
	_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;
	_cleanup_entries_ struct oci_entries entries = {0};

	if (oci_store_list(store, &entries, &ignored) < 0)
		return;
	for (size_t i = 0; i < entries.n; i++) {
		_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
		_cleanup_reference_ struct oci_reference other = {0};
		struct oci_image image = {0};

		if (!entries.v[i].name || oci_reference_parse(&other, entries.v[i].name, &e) < 0 ||
			strcmp(other.domain, reference->domain) != 0 ||
			strcmp(other.path, reference->path) == 0 ||
			oci_image_read(&image, store, &entries.v[i].descriptor, "image", NULL, &e) <
				0)
			continue;
		for (size_t k = 0; k <= image.manifest.n_layers; k++) {
			struct blob *b = find_blob(p, k ? image.manifest.layers[k - 1].digest
							: image.manifest.config.digest);

			if (b && !b->from)
				b->from = strdup(other.path);
		}
		oci_image_release(&image);
	}
}

static void on_sent(uint64_t bytes, void *arg)
{
	struct sending *s = arg;

	progress_bytes(s->p->progress, s->layer, "Pushing", bytes);
}

static int push_blob(size_t i, struct http *h, void *arg, struct arrow_error *error)
{
	static const char *const words[] = {
		[BLOB_PUSHED] = "Pushed",
		[BLOB_EXISTS] = "Layer already exists",
		[BLOB_MOUNTED] = "Mounted from another repository",
	};
	struct push *p = arg;
	struct blob *b = &p->blobs[i];
	struct sending sending = {p, b->layer};
	_cleanup_close_ int fd = -1;
	enum blob_result result = BLOB_EXISTS;
	uint64_t size = 0;
	int e = oci_blob_open(p->options->store, b->descriptor.digest, &fd, error);

	if (e == 0 && (!oci_blob_exists(p->options->store, b->descriptor.digest, &size) ||
			      size != b->descriptor.size))
		e = arrow_fail(error, EBADMSG,
			"the blob %s is damaged: pull or load the image again",
			b->descriptor.digest);
	if (e == 0)
		e = registry_put_blob(
			p->r, h, &b->descriptor, fd, b->from, on_sent, &sending, &result, error);
	progress_state(p->progress, b->layer, e == 0 ? words[result] : "Failed");
	return e;
}

static int push_blobs(struct push *p, struct arrow_error *error)
{
	int e;

	progress_start(p->progress);
	e = pool_run(&p->options->registry->http, p->options->stop, p->n, push_blob, p, error);
	progress_end(STEAL(p->progress));
	return e;
}

/* Whether all manifests of an index are here. */
static bool is_whole(const struct oci_store *store, const struct oci_index *index)
{
	for (size_t i = 0; i < index->n; i++)
		if (!oci_blob_exists(store, index->entries[i].descriptor.digest, NULL) ||
			!oci_type_is_manifest(index->entries[i].descriptor.media_type))
			return false;
	return index->unreadable == 0;
}

/* Pushes an index with all that it names. */
static int push_index(struct push *p, struct http *h, const struct oci_descriptor *top,
	const struct oci_index *index, const char *data, const char *tag, struct arrow_error *error)
{
	_cleanup_strv_ char **manifests = calloc(index->n + 1, sizeof(*manifests));
	int e = manifests ? 0 : arrow_no_memory(error);

	for (size_t i = 0; e == 0 && i < index->n; i++)
		e = add_manifest(p, &index->entries[i].descriptor, tag, &manifests[i], error);
	if (e == 0)
		e = push_blobs(p, error);
	for (size_t i = 0; e == 0 && i < index->n; i++) {
		const struct oci_descriptor *d = &index->entries[i].descriptor;

		e = registry_put_manifest(p->r, h, d->digest, d, manifests[i], NULL, error);
	}
	return e < 0 ? e : registry_put_manifest(p->r, h, tag, top, data, NULL, error);
}

/* Pushes one manifest. */
static int push_manifest(struct push *p, struct http *h, const struct oci_descriptor *d,
	const struct oci_reference *reference, struct arrow_error *error)
{
	_cleanup_free_ char *data = NULL;
	int e = add_manifest(p, d, reference->path, &data, error);

	if (e < 0)
		return e;
	find_sources(p, reference);
	e = push_blobs(p, error);
	return e < 0 ? e
		     : registry_put_manifest(p->r, h, reference->tag ? reference->tag : d->digest,
			       d, data, NULL, error);
}

int transfer_push(const struct transfer_options *o, struct registry *r, struct http *h,
	const struct oci_reference *reference, struct arrow_error *error)
{
	__attribute__((cleanup(push_release))) struct push p = {.options = o, .r = r};
	_cleanup_free_ char *whole = oci_reference_format(reference), *data = NULL;
	const char *tag = reference->tag ? reference->tag : reference->digest;
	_cleanup_oci_image_ struct oci_image image = {0};
	_cleanup_index_ struct oci_index index = {0};
	const struct oci_descriptor *pushed = &image.top;
	size_t signatures = 0;
	int e;

	p.progress = progress_new(o->out);
	if (!whole || !p.progress)
		return arrow_no_memory(error);
	e = oci_image_find(&image, o->store, whole, o->architecture, error);
	if (e < 0)
		return e;
	if (oci_type_is_index(image.top.media_type)) {
		e = oci_blob_read(o->store, &image.top, OCI_MANIFEST_MAX, &data, error);
		if (e == 0)
			e = oci_index_parse(&index, data, image.top.size, whole, error);
		if (e < 0)
			return e;
		if (o->architecture || !is_whole(o->store, &index))
			pushed = &image.descriptor;
	}
	if (pushed == &image.top && data)
		e = push_index(&p, h, pushed, &index, data, tag, error);
	else
		e = push_manifest(&p, h, pushed, reference, error);
	if (e == 0)
		e = transfer_put_signatures(o, r, h, pushed, &signatures, error);
	if (e < 0 || !o->out)
		return e;
	if (pushed != &image.top)
		fprintf(o->out, "%s: only the image for %s is here, so only that was pushed\n", tag,
			image.config.platform.architecture ? image.config.platform.architecture
							   : "this platform");
	if (signatures > 0)
		fprintf(o->out, "%s: %zu signature%s\n", tag, signatures,
			signatures == 1 ? "" : "s");
	fprintf(o->out, "%s: digest: %s size: %llu\n", tag, pushed->digest,
		(unsigned long long)pushed->size);
	return 0;
}
