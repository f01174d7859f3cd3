/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_REGISTRY_HTTP_H
#define ARROW_REGISTRY_HTTP_H

/*
 * One HTTP exchange at a time over libcurl, with all that comes from the other side bounded:
 * header count and size, the body, and the time in which nothing comes. Redirects are reported,
 * never followed: what may be sent to another host is for the caller to say.
 *
 * A struct http is for one thread; it keeps its connections open. http_setup() comes first.
 */

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "registry/challenge.h"
#include "registry/settings.h"
#include "util/error.h"

/* How hosts are spoken to; shared by all threads and not changed meanwhile. */
struct http_options {
	bool insecure;      /* certificates are not verified */
	unsigned int stall; /* seconds in which a transfer may stand still; also to connect */
	const volatile sig_atomic_t *cancel; /* non-zero ends every exchange; or NULL */
	struct registry_settings settings;
};

struct http;

/* Prepares libcurl, once a process and before threads start. Returns 0 or -EIO. */
int http_setup(struct arrow_error *error) ARROW_MUST_CHECK;

/* Returns NULL when out of memory. */
struct http *http_new(const struct http_options *options) ARROW_MUST_CHECK;
void http_free(struct http *h);

struct http_reply;

struct http_request {
	const char *method; /* GET, HEAD, POST, PUT, PATCH, DELETE */
	const char *url;
	const char *authorization;  /* value of the header, or NULL */
	const char *const *headers; /* further ones, "Name: value"; NULL-terminated, or NULL */

	/* What is sent: memory, or a part of a file. */
	const void *body;
	int body_fd; /* used where body is NULL and body_size > 0 */
	uint64_t body_at;
	uint64_t body_size;
	bool has_body; /* also if it is empty */

	/*
	 * Where the body of an answer goes: of a status 200 or 206 to sink() if there is one; the
	 * rest is kept in memory. begin() comes before the first byte, when the headers are known.
	 * Both return 0, or a negative errno that ends the exchange with it, having set the error.
	 * limit is the most that a body kept in memory may have.
	 */
	int (*begin)(const struct http_reply *reply, void *arg);
	int (*sink)(const void *data, size_t size, void *arg);
	void (*sent)(uint64_t bytes, void *arg); /* of the body, so far; or NULL */
	void *arg;
	size_t limit;
};

struct http_reply {
	int status;
	char *location; /* absolute; owned, as all below; NULL where there is none */
	char *type;     /* media type without parameters */
	char *digest;   /* Docker-Content-Digest */
	char *link;     /* URL of Link with rel="next", absolute */
	char *subject;  /* OCI-Subject */
	struct challenge challenge;
	int64_t retry_after; /* seconds, at most an hour; -1 where it is not said */
	int64_t length;      /* Content-Length, or -1 */
	int64_t range_start; /* of Content-Range, or -1 */
	int64_t range_end;   /* of Range: the last byte that an upload has, or -1 */
	int64_t chunk_min;   /* OCI-Chunk-Min-Length, or 0 */
	char *body;          /* ends with a NUL that is not counted; NULL if it went to sink() */
	size_t size;
};

/* How an exchange failed, for those who would try again. */
enum http_failure {
	HTTP_FAILED, /* trying again will not help */
	HTTP_BROKEN, /* the connection broke, stalled or was refused */
	HTTP_NO_TLS, /* the other side does not speak TLS */
};

/*
 * Does one exchange. Any HTTP status is a success. *failure says more of a failure.
 * Errors: -ETIMEDOUT, -ECONNRESET, -ECONNREFUSED, -EHOSTUNREACH (no such host), -EPROTO,
 * -EMSGSIZE (more than `limit`), -ECANCELED, -EKEYREJECTED (the certificate), what begin()
 * or sink() returned.
 */
int http_perform(struct http *h, const struct http_request *request, struct http_reply *reply,
	enum http_failure *failure, struct arrow_error *error) ARROW_MUST_CHECK;

void http_reply_release(struct http_reply *reply);
#define _cleanup_reply_ __attribute__((cleanup(http_reply_release)))

/*
 * The parts of a URL. host has the port if it is not the scheme's own; NULL if the text is no http
 * or https URL. Owned by the caller.
 */
char *http_url_host(const char *url) ARROW_MUST_CHECK;
bool http_url_is_https(const char *url);

/* Whether a host (with or without port) is this machine: localhost, 127.0.0.0/8, [::1]. */
bool http_is_loopback(const char *host);

/* text as a part of a query. Owned by the caller; NULL when out of memory. */
char *http_escape(const char *text) ARROW_MUST_CHECK;

#endif
