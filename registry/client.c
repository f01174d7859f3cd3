// SPDX-License-Identifier: Apache-2.0
/* The session: which scheme, redirects, and who answers a demand for authorization. */
#include "registry/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "registry/token.h"
#include "util/cleanup.h"
#include "util/io.h"

#define REDIRECTS_MAX 5
#define ANSWER_MAX 65536u /* of the body of a refusal */

/* Takes the newest authorization. *text is owned by the caller; NULL where there is none. */
static int take_authorization(struct registry *r, char **text, unsigned int *generation)
{
	pthread_mutex_lock(&r->lock);
	*text = r->authorization ? strdup(r->authorization) : NULL;
	*generation = r->generation;
	pthread_mutex_unlock(&r->lock);
	return r->authorization && !*text ? -ENOMEM : 0;
}

static bool is_redirect(int status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* Whether a URL is of the registry itself: same scheme, host and port. */
static bool is_own(const struct registry *r, const char *url)
{
	size_t n = strlen(r->base);

	return strncasecmp(url, r->base, n) == 0 && (url[n] == '/' || url[n] == '?' || !url[n]);
}

/* Where a redirect leads to, if it may. */
static int client_follow_redirect(const struct registry *r, const char *from,
	struct http_reply *reply, char **url, struct arrow_error *error)
{
	_cleanup_free_ char *host = reply->location ? http_url_host(reply->location) : NULL;

	if (!host)
		return arrow_fail(error, EPROTO,
			"%s redirects to no web address, '%s'; ask who runs it", r->host,
			reply->location ? reply->location : "");
	if (http_url_is_https(from) && !http_url_is_https(reply->location))
		return arrow_fail(error, EPROTO,
			"%s redirects to %s without encryption, which is not followed; ask who runs it",
			r->host, host);
	free(*url);
	*url = STEAL(reply->location);
	return 0;
}

/* One request without retries: redirects and authorization only. */
static int request_once(struct registry *r, struct http *h, const char *path,
	const struct http_request *request, struct http_reply *reply, enum http_failure *failure,
	struct arrow_error *error)
{
	_cleanup_free_ char *url =
		path[0] == '/' ? path_format("%s%s", r->base, path) : strdup(path);
	bool reads = strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
	bool authenticated = false;
	int redirects = 0;

	for (;;) {
		struct http_request q = *request;
		_cleanup_free_ char *authorization = NULL;
		unsigned int generation;
		bool own = url && is_own(r, url);
		int e;

		*failure = HTTP_FAILED;
		if (!url || take_authorization(r, &authorization, &generation) < 0)
			return arrow_no_memory(error);
		q.url = url;
		q.authorization = own ? authorization : NULL;
		if (q.limit == 0)
			q.limit = ANSWER_MAX;
		e = http_perform(h, &q, reply, failure, error);
		if (e < 0)
			return e;
		if (reply->status == 401 && own && !authenticated) {
			authenticated = true;
			e = registry_authenticate(r, h, &reply->challenge, generation, error);
		} else if (reads && is_redirect(reply->status)) {
			if (++redirects > REDIRECTS_MAX)
				e = arrow_fail(error, ELOOP,
					"%s redirects more than %d times, perhaps in circles; ask who runs it",
					r->host, REDIRECTS_MAX);
			else
				e = client_follow_redirect(r, url, reply, &url, error);
		} else {
			return 0;
		}
		http_reply_release(reply);
		if (e < 0)
			return e;
	}
}

/* Some registries know no HEAD: then nobody knows whether a blob is there. */
static bool refuses_head(const struct http_request *request, int status)
{
	return strcmp(request->method, "HEAD") == 0 && (status == 405 || status == 501);
}

int registry_request(struct registry *r, struct http *h, const char *path,
	const struct http_request *request, struct http_reply *reply, struct attempts *attempts,
	enum http_failure *failure, struct arrow_error *error)
{
	const char *what = r->repository ? r->repository : "the registry";
	bool streams = request->sink || (!request->body && request->body_size > 0);
	struct attempts own = {0};
	int e;

	if (!attempts)
		attempts = &own;
	for (;;) {
		e = request_once(r, h, path, request, reply, failure, error);
		if (e < 0 && (*failure != HTTP_BROKEN || streams ||
				     !attempts_again(attempts, r->options)))
			return e;
		if (e == 0) {
			bool passes = reply_may_pass(reply->status);

			attempts->wait_s = reply->retry_after;
			*failure = passes ? HTTP_BROKEN : HTTP_FAILED;
			if (!passes || streams || !attempts_again(attempts, r->options))
				break;
		}
		http_reply_release(reply);
		arrow_error_clear(error);
	}
	if (reply->status >= 400 && reply->status != 404 && !refuses_head(request, reply->status)) {
		e = registry_fail(r, what, reply, error);
		http_reply_release(reply);
	}
	return e;
}

/*
 * Takes up what the registry wants. A password by Basic was not looked at yet, and a login is to
 * be tried, so these ask once more; who gives out tokens for a repository has looked.
 */
static int client_introduce(struct registry *r, struct http *h, const struct challenge *challenge,
	struct arrow_error *error)
{
	const struct http_request q = {.method = "GET"};
	_cleanup_reply_ struct http_reply reply = {0};
	enum http_failure failure;
	int e = registry_authenticate(r, h, challenge, r->generation, error);

	if (e < 0 || (challenge->bearer && r->repository))
		return e;
	return registry_request(r, h, "/v2/", &q, &reply, NULL, &failure, error);
}

/* Asks for /v2/ by one scheme. */
static int client_ping(struct registry *r, struct http *h, const char *scheme,
	enum http_failure *failure, struct arrow_error *error)
{
	_cleanup_free_ char *url = path_format("%s://%s/v2/", scheme, r->address);
	const struct http_request q = {.method = "GET", .url = url, .limit = ANSWER_MAX};
	_cleanup_reply_ struct http_reply reply = {0};
	struct attempts attempts = {0};
	int e;

	*failure = HTTP_FAILED;
	if (!url)
		return arrow_no_memory(error);
	for (;;) {
		e = http_perform(h, &q, &reply, failure, error);
		/* Who refuses the connection at first will refuse it again. */
		if (e < 0 && (*failure != HTTP_BROKEN || e == -ECONNREFUSED || e == -EHOSTUNREACH ||
				     !attempts_again(&attempts, r->options)))
			return e;
		attempts.wait_s = e == 0 ? reply.retry_after : 0;
		if (e == 0 &&
			(!reply_may_pass(reply.status) || !attempts_again(&attempts, r->options)))
			break;
		http_reply_release(&reply);
		arrow_error_clear(error);
	}
	free(r->base);
	r->base = path_format("%s://%s", scheme, r->address);
	if (!r->base)
		return arrow_no_memory(error);
	*failure = HTTP_FAILED;
	if (reply.status == 401)
		return client_introduce(r, h, &reply.challenge, error);
	if (reply.status >= 200 && reply.status < 300)
		return 0;
	if (reply.status == 404)
		return arrow_fail(error, ENOENT,
			"%s is not a registry: it has no /v2/; check its name", r->host);
	return registry_fail(r, "the registry", &reply, error);
}

static int client_connect(struct registry *r, struct http *h, struct arrow_error *error)
{
	bool plain = r->options->http.insecure || http_is_loopback(r->address);
	enum http_failure failure;
	int e = client_ping(r, h, "https", &failure, error);

	if (e < 0 && plain &&
		(failure == HTTP_NO_TLS || (e == -ECONNREFUSED && !strchr(r->address, ':')))) {
		arrow_error_clear(error);
		e = client_ping(r, h, "http", &failure, error);
	}
	return e;
}

int registry_open(struct registry *r, struct http *h, const char *host, const char *repository,
	struct credentials *credentials, const struct registry_options *options,
	struct arrow_error *error)
{
	int e;

	*r = (struct registry){.options = options};
	pthread_mutex_init(&r->lock, NULL);
	r->host = strdup(host);
	r->address = strdup(strcmp(host, "docker.io") == 0 ? "registry-1.docker.io" : host);
	r->repository = repository ? strdup(repository) : NULL;
	if (repository)
		r->scopes = path_format(
			"repository:%s:%s", repository, options->push ? "pull,push" : "pull");
	if (!r->host || !r->address || (repository && (!r->repository || !r->scopes))) {
		e = arrow_no_memory(error);
	} else if (credentials) {
		r->credentials = *credentials;
		*credentials = (struct credentials){0};
		e = 0;
	} else {
		e = credentials_find(
			&r->credentials, &options->http.settings, host, repository, error);
	}
	if (e == 0)
		e = client_connect(r, h, error);
	if (e < 0)
		registry_release(r);
	return e;
}

void registry_release(struct registry *r)
{
	if (!r->options)
		return;
	free(r->host);
	free(r->address);
	free(r->base);
	free(r->repository);
	credentials_release(&r->credentials);
	free(r->authorization);
	free(r->scopes);
	pthread_mutex_destroy(&r->lock);
	*r = (struct registry){0};
}
