// SPDX-License-Identifier: Apache-2.0
/* Blobs: fetched from where the last connection broke, pushed in one piece or in chunks. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "registry/client.h"
#include "util/cleanup.h"
#include "util/io.h"

/* An attempt that brought this much is not counted: a bad line is no dead one. */
#define PROGRESS (1u << 20)
#define CHUNK (64u << 20)

struct download {
	const struct registry *r;
	const struct oci_descriptor *blob;
	const struct blob_sink *sink;
	struct arrow_error *error;
	uint64_t at;   /* bytes that the sink has */
	uint64_t skip; /* bytes of this answer that it has already */
};

static int download_begin(const struct http_reply *reply, void *arg)
{
	struct download *d = arg;
	uint64_t start = 0;

	d->skip = 0;
	if (reply->status == 206 && (uint64_t)reply->range_start != d->at)
		return arrow_fail(d->error, EPROTO,
			"%s sent another part of %s than was requested; ask who runs it",
			d->r->host, d->blob->digest);
	if (reply->status == 206)
		start = d->at;
	else if (reply->status == 200)
		d->skip = d->at; /* it does not do ranges */
	else
		return 0;
	if (reply->length >= 0 && (uint64_t)reply->length != d->blob->size - start)
		return arrow_fail(d->error, EBADMSG,
			"the layer %s has %lld bytes at %s, not the %llu that its manifest says",
			d->blob->digest, (long long)reply->length + (long long)start, d->r->host,
			(unsigned long long)d->blob->size);
	return 0;
}

static int download_sink(const void *data, size_t size, void *arg)
{
	struct download *d = arg;
	int e;

	if (d->skip > 0) {
		size_t n = size < d->skip ? size : (size_t)d->skip;

		data = (const char *)data + n;
		size -= n;
		d->skip -= n;
	}
	if (size > d->blob->size - d->at)
		return arrow_fail(d->error, EBADMSG,
			"%s sends more for %s than the %llu bytes that its manifest says",
			d->r->host, d->blob->digest, (unsigned long long)d->blob->size);
	if (size == 0)
		return 0;
	e = d->sink->take(data, size, d->sink->arg);
	if (e == 0)
		d->at += size;
	return e;
}

/* One attempt. Returns 0 when the blob is whole; else *failure says whether to go on. */
static int download_once(struct download *d, struct registry *r, struct http *h, const char *path,
	struct attempts *attempts, enum http_failure *failure)
{
	_cleanup_free_ char *range = path_format("Range: bytes=%llu-", (unsigned long long)d->at);
	const char *headers[] = {d->at > 0 ? range : NULL, NULL};
	const struct http_request q = {.method = "GET",
		.headers = headers,
		.begin = download_begin,
		.sink = download_sink,
		.arg = d};
	_cleanup_reply_ struct http_reply reply = {0};
	int e;

	*failure = HTTP_FAILED;
	if (!range)
		return arrow_no_memory(d->error);
	e = registry_request(r, h, path, &q, &reply, attempts, failure, d->error);
	if (e < 0)
		return e;
	if (reply.status != 200 && reply.status != 206) {
		_cleanup_free_ char *what = path_format("layer %s", d->blob->digest);

		*failure = HTTP_FAILED;
		return registry_fail(r, what ? what : "layer", &reply, d->error);
	}
	if (d->at == d->blob->size)
		return 0;
	*failure = HTTP_BROKEN;
	return arrow_fail(d->error, ECONNRESET, "%s ends %s after %llu of %llu bytes", r->host,
		d->blob->digest, (unsigned long long)d->at, (unsigned long long)d->blob->size);
}

int registry_get_blob(struct registry *r, struct http *h, const struct oci_descriptor *blob,
	uint64_t at, const struct blob_sink *sink, struct arrow_error *error)
{
	_cleanup_free_ char *path = path_format("/v2/%s/blobs/%s", r->repository, blob->digest);
	struct download d = {.r = r, .blob = blob, .sink = sink, .error = error, .at = at};
	struct attempts attempts = {0};
	enum http_failure failure;

	if (!path)
		return arrow_no_memory(error);
	if (at > 0 && at >= blob->size)
		return 0;
	for (;;) {
		uint64_t before = d.at;
		int e = download_once(&d, r, h, path, &attempts, &failure);

		if (e == 0 || failure != HTTP_BROKEN)
			return e;
		if (d.at - before >= PROGRESS)
			attempts.n = 0;
		if (!attempts_again(&attempts, r->options))
			return arrow_error_prefix(
				error, e, "cannot get %s, though it was tried again", blob->digest);
		arrow_error_clear(error);
	}
}

struct upload {
	struct registry *r;
	struct http *h;
	const struct oci_descriptor *blob;
	int fd;
	uint64_t at;    /* bytes that the registry has */
	uint64_t chunk; /* bytes to send at once */
	char *location; /* where to; owned */
	void (*sent)(uint64_t bytes, void *arg);
	void *arg;
};

static void upload_sent(uint64_t bytes, void *arg)
{
	struct upload *u = arg;

	if (u->sent)
		u->sent(u->at + bytes, u->arg);
}

/* Takes over where the upload goes on; it must stay with the registry. */
static int take_location(struct upload *u, struct http_reply *reply, struct arrow_error *error)
{
	size_t n = strlen(u->r->base);

	if (!reply->location)
		return u->location ? 0
				   : arrow_fail(error, EPROTO,
					     "%s does not say where uploads go; ask who runs it",
					     u->r->host);
	/* A registry behind a proxy that ends TLS may name itself by http://. */
	if (http_url_is_https(u->r->base) && strncasecmp(reply->location, "http://", 7) == 0 &&
		strncasecmp(reply->location + 7, u->r->base + 8, n - 8) == 0) {
		char *url = path_format("https://%s", reply->location + 7);

		if (!url)
			return arrow_no_memory(error);
		free(reply->location);
		reply->location = url;
	}
	if (http_url_is_https(u->r->base) && !http_url_is_https(reply->location))
		return arrow_fail(error, EPROTO,
			"%s asks for uploads without encryption, which Arrow refuses; ask who runs it",
			u->r->host);
	free(u->location);
	u->location = STEAL(reply->location);
	return 0;
}

/* Begins an upload. Returns 1 if the blob could be mounted instead. */
static int upload_begin(struct upload *u, const char *from, struct arrow_error *error)
{
	_cleanup_free_ char *escaped = from ? http_escape(from) : NULL;
	_cleanup_free_ char *path =
		from ? path_format("/v2/%s/blobs/uploads/?mount=%s&from=%s", u->r->repository,
			       u->blob->digest, escaped ? escaped : "")
		     : path_format("/v2/%s/blobs/uploads/", u->r->repository);
	const struct http_request q = {.method = "POST", .has_body = true, .body = ""};
	_cleanup_reply_ struct http_reply reply = {0};
	enum http_failure failure;
	int e;

	if (!path)
		return arrow_no_memory(error);
	free(u->location);
	u->location = NULL;
	u->at = 0;
	e = registry_request(u->r, u->h, path, &q, &reply, NULL, &failure, error);
	if (e < 0)
		return e;
	if (from && reply.status == 201)
		return 1;
	if (!reply_is_success(reply.status))
		return registry_fail(u->r, u->r->repository, &reply, error);
	u->chunk = (uint64_t)reply.chunk_min > CHUNK ? (uint64_t)reply.chunk_min : CHUNK;
	return take_location(u, &reply, error);
}

/* Sends `size` bytes from u->at on; as the last if they end the blob. */
static int upload_part(struct upload *u, uint64_t size, bool last, struct attempts *attempts,
	enum http_failure *failure, struct arrow_error *error)
{
	const char *location = u->location ? u->location : "";
	_cleanup_free_ char *url =
		last ? path_format("%s%sdigest=%s", location, strchr(location, '?') ? "&" : "?",
			       u->blob->digest)
		     : strdup(location);
	_cleanup_free_ char *range = path_format("Content-Range: %llu-%llu",
		(unsigned long long)u->at, (unsigned long long)(u->at + size - 1));
	const char *headers[] = {
		"Content-Type: application/octet-stream", last && u->at == 0 ? NULL : range, NULL};
	const struct http_request q = {.method = last ? "PUT" : "PATCH",
		.headers = headers,
		.body_fd = u->fd,
		.body_at = u->at,
		.body_size = size,
		.has_body = true,
		.sent = upload_sent,
		.arg = u};
	_cleanup_reply_ struct http_reply reply = {0};
	int e;

	*failure = HTTP_FAILED;
	if (!url || !range)
		return arrow_no_memory(error);
	if (size == 0)
		headers[1] = NULL;
	e = registry_request(u->r, u->h, url, &q, &reply, attempts, failure, error);
	if (e < 0)
		return e;
	*failure = HTTP_FAILED;
	if (reply.status == 404) {
		*failure = HTTP_BROKEN; /* the upload is forgotten: begin anew */
		return registry_fail(u->r, "such upload", &reply, error);
	}
	if (!reply_is_success(reply.status))
		return registry_fail(u->r, u->blob->digest, &reply, error);
	u->at += size;
	return last ? 0 : take_location(u, &reply, error);
}

/* After a break: what the registry has. Fails where it does not say. */
static int upload_ask(struct upload *u)
{
	const struct http_request q = {.method = "GET"};
	_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;
	_cleanup_reply_ struct http_reply reply = {0};
	enum http_failure failure;
	uint64_t at;

	if (!u->location ||
		registry_request(u->r, u->h, u->location, &q, &reply, NULL, &failure, &ignored) < 0)
		return -EIO;
	at = (uint64_t)(reply.range_end + 1);
	if (!reply_is_success(reply.status) || reply.range_end < 1 || at > u->blob->size)
		return -EIO;
	u->at = at;
	return take_location(u, &reply, &ignored);
}

static int upload_all(struct upload *u, struct arrow_error *error)
{
	struct attempts attempts = {0};
	enum http_failure failure;

	for (;;) {
		uint64_t left = u->blob->size - u->at, before = u->at;
		bool last = left <= u->chunk;
		int e = upload_part(u, last ? left : u->chunk, last, &attempts, &failure, error);

		if (e == 0 && last)
			return 0;
		if (e == 0) {
			attempts.n = 0;
			continue;
		}
		if (failure != HTTP_BROKEN || !attempts_again(&attempts, u->r->options))
			return arrow_error_prefix(error, e, "cannot push %s", u->blob->digest);
		arrow_error_clear(error);
		if (upload_ask(u) < 0) {
			e = upload_begin(u, NULL, error);
			if (e < 0)
				return e;
		} else if (u->at > before && u->at - before >= PROGRESS) {
			attempts.n = 0;
		}
	}
}

static int blob_is_there(
	struct registry *r, struct http *h, const char *digest, struct arrow_error *error)
{
	_cleanup_free_ char *path = path_format("/v2/%s/blobs/%s", r->repository, digest);
	const struct http_request q = {.method = "HEAD"};
	_cleanup_reply_ struct http_reply reply = {0};
	enum http_failure failure;
	int e;

	if (!path)
		return arrow_no_memory(error);
	e = registry_request(r, h, path, &q, &reply, NULL, &failure, error);
	return e < 0 ? e : reply.status == 200;
}

int registry_put_blob(struct registry *r, struct http *h, const struct oci_descriptor *blob, int fd,
	const char *from, void (*sent)(uint64_t bytes, void *arg), void *arg,
	enum blob_result *result, struct arrow_error *error)
{
	struct upload u = {.r = r, .h = h, .blob = blob, .fd = fd, .sent = sent, .arg = arg};
	int e = blob_is_there(r, h, blob->digest, error);

	if (e < 0)
		return e;
	*result = BLOB_EXISTS;
	if (e > 0)
		return 0;
	e = upload_begin(&u, from, error);
	if (e > 0) {
		*result = BLOB_MOUNTED;
		e = 0;
	} else if (e == 0) {
		*result = BLOB_PUSHED;
		e = upload_all(&u, error);
	}
	free(u.location);
	return e;
}
