// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "registry/pool.h"
#include "registry/progress.h"
#include "registry/transfer.h"
#include "util/cleanup.h"
#include "util/io.h"

struct pull {
	const struct transfer_options *options;
	struct registry *r;
	const char *name; /* for people */

	struct oci_descriptor top;        /* what the tag stands for */
	char *top_data;                   /* owned */
	struct oci_descriptor descriptor; /* the manifest */
	char *data;                       /* owned; NULL where it is top_data */
	struct oci_manifest manifest;

	struct progress *progress;
	const struct oci_descriptor **blobs; /* those to fetch; owned array */
	int *layers;                         /* their numbers in progress; -1 for none; owned */
	size_t n;
};

static void pull_release(struct pull *p)
{
	progress_end(p->progress);
	free(p->blobs);
	free(p->layers);
	oci_manifest_release(&p->manifest);
	oci_descriptor_release(&p->descriptor);
	oci_descriptor_release(&p->top);
	free(p->data);
	free(p->top_data);
}

/* Follows an index to the manifest of the platform. */
static int choose_platform(struct pull *p, struct http *h, struct arrow_error *error)
{
	const struct transfer_options *o = p->options;
	_cleanup_index_ struct oci_index index = {0};
	const struct oci_index_entry *entry;
	int e = oci_index_parse(&index, p->top_data, p->top.size, p->name, error);

	if (e < 0)
		return e;
	entry = oci_index_choose(&index, o->architecture, o->variant);
	if (!entry)
		return arrow_fail(error, ENOENT,
			"%s has no image for linux/%s%s%s; choose another with --platform", p->name,
			o->architecture ? o->architecture : oci_host_architecture(),
			o->variant ? "/" : "", o->variant ? o->variant : "");
	e = registry_get_manifest(
		p->r, h, entry->descriptor.digest, &p->descriptor, &p->data, error);
	if (e < 0)
		return e;
	if (p->descriptor.size != entry->descriptor.size)
		return arrow_fail(error, EBADMSG,
			"the manifest %s has another size than the index of %s says",
			p->descriptor.digest, p->name);
	if (!oci_type_is_manifest(p->descriptor.media_type))
		return arrow_fail(error, EBADMSG,
			"%s is an index that leads to another index, which is not supported",
			p->name);
	return 0;
}

/* Gets the manifest, and what it says. */
static int get_manifests(
	struct pull *p, struct http *h, const char *reference, struct arrow_error *error)
{
	int e = registry_get_manifest(p->r, h, reference, &p->top, &p->top_data, error);

	if (e < 0)
		return e;
	if (oci_type_is_index(p->top.media_type)) {
		e = choose_platform(p, h, error);
	} else if (oci_type_is_manifest(p->top.media_type)) {
		e = oci_descriptor_copy(&p->descriptor, &p->top) < 0 ? arrow_no_memory(error) : 0;
	} else {
		e = arrow_fail(error, ENOTSUP,
			"%s has a media type that Arrow does not know ('%.80s'); push it again with a newer tool",
			p->name, p->top.media_type);
	}
	if (e == 0)
		e = oci_manifest_parse(&p->manifest, p->data ? p->data : p->top_data,
			p->descriptor.size, p->name, error);
	if (e < 0)
		return e;
	if (strcmp(p->manifest.config.media_type, OCI_TYPE_CONFIG) != 0 &&
		strcmp(p->manifest.config.media_type, DOCKER_TYPE_CONFIG) != 0)
		return arrow_fail(error, ENOTSUP,
			"%s is an artifact of the type '%.80s', not an image", p->name,
			p->manifest.artifact_type ? p->manifest.artifact_type
						  : p->manifest.config.media_type);
	if (p->manifest.config.size > OCI_CONFIG_MAX)
		return arrow_fail(error, E2BIG,
			"the configuration of %s has more than the %u bytes allowed", p->name,
			OCI_CONFIG_MAX);
	return 0;
}

/* Fetches signatures if they count, and judges by them, before anything large is fetched. */
static int check_trust(struct pull *p, struct http *h, const char *whole, struct signatures *s,
	struct arrow_error *error)
{
	const struct transfer_options *o = p->options;
	const char *digests[] = {p->top.digest, p->descriptor.digest, NULL};
	int e = 0;

	if (o->verify || trust_policy_wants_signatures(o->policy, whole)) {
		e = transfer_get_signatures(s, p->r, h, digests[0], error);
		if (e == 0 && strcmp(digests[0], digests[1]) != 0)
			e = transfer_get_signatures(s, p->r, h, digests[1], error);
	}
	if (e == 0 && o->verify)
		e = trust_key_check(o->verify, whole, digests, s, error);
	return e < 0 ? e : trust_policy_check(o->policy, whole, digests, s, error);
}

static bool is_listed(const struct pull *p, const char *digest)
{
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->blobs[i]->digest, digest) == 0)
			return true;
	return false;
}

/* Notes what has to be fetched: what the store lacks, each once. */
static int list_blobs(struct pull *p, struct arrow_error *error)
{
	const struct oci_manifest *m = &p->manifest;
	const struct oci_store *store = p->options->store;
	unsigned long long need = 0;
	struct statvfs disk;

	p->progress = progress_new(p->options->out);
	p->blobs = calloc(m->n_layers + 1, sizeof(struct oci_descriptor *));
	p->layers = calloc(m->n_layers + 1, sizeof(*p->layers));
	if (!p->progress || !p->blobs || !p->layers)
		return arrow_no_memory(error);
	for (size_t i = 0; i <= m->n_layers; i++) {
		const struct oci_descriptor *d = i == 0 ? &m->config : &m->layers[i - 1];
		bool there = oci_blob_exists(store, d->digest, NULL);
		int layer = -1;

		if (is_listed(p, d->digest))
			continue;
		if (i > 0)
			layer = progress_add(p->progress, d->digest, d->size,
				there ? "Already exists" : "Pulling fs layer");
		if (i > 0 && layer < 0)
			return arrow_no_memory(error);
		if (there)
			continue;
		need += d->size;
		p->layers[p->n] = layer;
		p->blobs[p->n++] = d;
	}
	if (fstatvfs(store->fd, &disk) == 0 &&
		need > (unsigned long long)disk.f_bavail * disk.f_frsize)
		return arrow_fail(error, ENOSPC,
			"no space left in %s for %s: it needs %llu MB more; free some with 'arrow image prune', or set ARROW_DATA_DIR to a directory on another disk",
			store->path, p->name, need / 1000000 + 1);
	return 0;
}

/* Where the bytes of a blob go. */
struct fetch {
	struct pull *p;
	struct oci_writer writer;
	int layer;
	struct arrow_error *error;
};

static int take_bytes(const void *data, size_t size, void *arg)
{
	struct fetch *f = arg;
	int e = oci_blob_append(&f->writer, data, size, f->error);

	if (e == 0 && f->layer >= 0)
		progress_bytes(f->p->progress, f->layer, "Downloading", f->writer.at);
	return e;
}

/* Fetches one blob, from where an earlier pull was cut off. */
static int fetch_once(struct fetch *f, const struct oci_descriptor *d, struct http *h,
	bool *resumed, struct arrow_error *error)
{
	const struct blob_sink sink = {take_bytes, f};
	int e = oci_blob_begin(&f->writer, f->p->options->store, d->digest, d->size, error);

	if (e < 0)
		return e;
	*resumed = f->writer.at > 0;
	e = registry_get_blob(f->p->r, h, d, f->writer.at, &sink, error);
	if (e == 0)
		e = oci_blob_commit(&f->writer, error);
	oci_blob_end(&f->writer);
	return e;
}

static int fetch_blob(size_t i, struct http *h, void *arg, struct arrow_error *error)
{
	struct pull *p = arg;
	struct fetch f = {.p = p, .layer = p->layers[i], .error = error};
	const struct oci_descriptor *d = p->blobs[i];
	bool resumed = false;
	int e = fetch_once(&f, d, h, &resumed, error);

	/* What an earlier pull left may have been damaged since. */
	if (e == -EBADMSG && resumed) {
		arrow_error_clear(error);
		e = fetch_once(&f, d, h, &resumed, error);
	}
	if (f.layer >= 0)
		progress_state(p->progress, f.layer, e == 0 ? "Pull complete" : "Failed");
	return e;
}

/* Puts the manifests into the store and names the image. */
static int pull_finish(struct pull *p, const struct oci_reference *reference,
	struct signatures *signatures, bool *changed, struct arrow_error *error)
{
	const struct transfer_options *o = p->options;
	const char *data = p->data ? p->data : p->top_data;
	bool indexed = oci_type_is_index(p->top.media_type);
	/* Another platform than the host's own has to be named itself, to be found again. */
	const struct oci_descriptor *named = indexed && o->architecture ? &p->descriptor : &p->top;
	_cleanup_descriptor_ struct oci_descriptor put = {0}, signed_by = {0}, put_index = {0};
	bool there = oci_blob_exists(o->store, named->digest, NULL), old = false;
	int e = oci_blob_put(o->store, p->descriptor.media_type, data, p->descriptor.size,
		p->descriptor.digest, &put, error);

	if (e == 0 && indexed)
		e = oci_blob_put(o->store, p->top.media_type, p->top_data, p->top.size,
			p->top.digest, &put_index, error);
	if (e == 0 && signatures->n > 0)
		e = signatures_save(signatures, o->store, named, &signed_by, error);
	if (e == 0)
		e = oci_store_tag(o->store, reference, named, &old, error);
	*changed = old || !there;
	return e;
}

int transfer_pull(const struct transfer_options *o, struct registry *r, struct http *h,
	const struct oci_reference *reference, struct arrow_error *error)
{
	_cleanup_free_ char *whole = oci_reference_format(reference);
	_cleanup_free_ char *name = oci_reference_familiar(reference);
	__attribute__((cleanup(pull_release))) struct pull p = {.options = o, .r = r};
	const char *what = reference->digest ? reference->digest : reference->tag;
	_cleanup_signatures_ struct signatures signatures = {0};
	_cleanup_free_ char *full = NULL;
	bool changed = false;
	int e;

	if (name)
		full = path_format("%s%s%s", name, reference->digest ? "@" : ":", what);
	if (!whole || !full)
		return arrow_no_memory(error);
	p.name = full;
	if (o->out)
		fprintf(o->out, "%s: Pulling from %s\n", what, reference->path);
	e = get_manifests(&p, h, what, error);
	if (e == 0)
		e = check_trust(&p, h, whole, &signatures, error);
	if (e == 0)
		e = list_blobs(&p, error);
	if (e == 0) {
		progress_start(p.progress);
		e = pool_run(&o->registry->http, o->stop, p.n, fetch_blob, &p, error);
		progress_end(STEAL(p.progress));
	}
	if (e == 0)
		e = pull_finish(&p, reference, &signatures, &changed, error);
	if (e < 0 || !o->out)
		return e;
	fprintf(o->out, "Digest: %s\nStatus: %s for %s\n", p.top.digest,
		changed || p.n > 0 ? "Downloaded newer image" : "Image is up to date", full);
	return 0;
}
