// SPDX-License-Identifier: Apache-2.0
/* Authentication: Basic, or a token from where the registry says. */
#include "registry/token.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "registry/reply.h"
#include "util/cleanup.h"
#include "util/io.h"

#define TOKEN_ANSWER_MAX (256u * 1024)
#define TOKEN_MAX (64u * 1024)

/* "Basic base64(user:password)"; NULL when out of memory. */
static char *basic_header(const struct credentials *c)
{
	_cleanup_free_ char *pair =
		path_format("%s:%s", c->username, c->password ? c->password : "");
	_cleanup_free_ unsigned char *text = NULL;
	size_t n = pair ? strlen(pair) : 0;

	text = calloc(1, (n + 2) / 3 * 4 + 1);
	if (!pair || !text)
		return NULL;
	EVP_EncodeBlock(text, (const unsigned char *)pair, (int)n);
	OPENSSL_cleanse(pair, n);
	return path_format("Basic %s", (const char *)text);
}

static int token_fail_refused(const struct registry *r, struct arrow_error *error)
{
	if (!r->credentials.username && !r->credentials.token)
		return arrow_fail(error, EACCES,
			"%s requires a login%s%s: log in with 'arrow login %s'", r->host,
			r->repository ? ", or there is no image " : "",
			r->repository ? r->repository : "", r->host);
	return arrow_fail(error, EACCES,
		"%s refuses the user or password%s%s: log in again with 'arrow login %s'", r->host,
		r->credentials.source ? " of " : "",
		r->credentials.source ? r->credentials.source : "", r->host);
}

/*
 * A realm gets the user's password, so it must be encrypted. Only a registry without encryption,
 * which the user allowed, may keep its tokens on the same host without it.
 */
static int check_realm(const struct registry *r, const char *realm, struct arrow_error *error)
{
	_cleanup_free_ char *host = http_url_host(realm);

	if (!host)
		return arrow_fail(error, EPROTO,
			"%s names an invalid URL for its token server; ask who runs it", r->host);
	if (http_url_is_https(realm) ||
		(!http_url_is_https(r->base) && strcasecmp(host, r->address) == 0))
		return 0;
	return arrow_fail(error, EPROTO,
		"%s names a token server without encryption, %s; nothing was sent there; ask who runs it",
		r->host, host);
}

/* Adds "name=value" to a query, escaped. */
static int add_field(char **query, const char *name, const char *value)
{
	_cleanup_free_ char *escaped = http_escape(value);
	char *longer;

	if (!escaped)
		return -ENOMEM;
	longer = path_format("%s%s%s=%s", *query, **query ? "&" : "", name, escaped);
	if (!longer)
		return -ENOMEM;
	free(*query);
	*query = longer;
	return 0;
}

static int add_scopes(char **query, const char *scopes, bool joined)
{
	_cleanup_free_ char *copy = strdup(scopes ? scopes : "");
	char *rest = copy, *scope;
	int e = copy ? 0 : -ENOMEM;

	if (joined)
		return *scopes ? add_field(query, "scope", scopes) : 0;
	while (e == 0 && (scope = strsep(&rest, " ")))
		e = *scope ? add_field(query, "scope", scope) : 0;
	return e;
}

/* Whether a scope is among those, parted by spaces. */
static bool has_scope(const char *scopes, const char *scope, size_t size)
{
	while (scopes && *scopes) {
		size_t n = strcspn(scopes, " ");

		if (n == size && strncmp(scopes, scope, n) == 0)
			return true;
		scopes += n + strspn(scopes + n, " ");
	}
	return false;
}

/* A token holds for all that was asked for so far. */
static int widen_scopes(struct registry *r, const char *more)
{
	while (more && *more) {
		size_t n = strcspn(more, " ");

		if (n > 0 && !has_scope(r->scopes, more, n)) {
			char *all = path_format("%s%s%.*s", r->scopes ? r->scopes : "",
				r->scopes ? " " : "", (int)n, more);

			if (!all)
				return -ENOMEM;
			free(r->scopes);
			r->scopes = all;
		}
		more += n + strspn(more + n, " ");
	}
	return 0;
}

static bool is_visible(const char *text)
{
	while (*text > ' ' && *text < 0x7f)
		text++;
	return *text == '\0';
}

/* Takes the token out of an answer: {"token"} or {"access_token"}. */
static int take_token(struct registry *r, const struct http_reply *reply, struct arrow_error *error)
{
	json_t *answer = reply->body ? json_loadb(reply->body, reply->size, 0, NULL) : NULL;
	const char *token = json_string_value(json_object_get(answer, "token"));
	bool longer;
	char *header = NULL;

	if (!token || !*token)
		token = json_string_value(json_object_get(answer, "access_token"));
	longer = token && strlen(token) > TOKEN_MAX;
	/* RFC 6750 allows less, but nothing of this can end the header. */
	if (token && *token && !longer && is_visible(token))
		header = path_format("Bearer %s", token);
	json_decref(answer);
	if (longer)
		return arrow_fail(error, EPROTO,
			"the token server of %s sent a token of more than %u bytes; ask who runs it",
			r->host, TOKEN_MAX);
	if (!header)
		return arrow_fail(error, EPROTO,
			"the token server of %s answered without a token; ask who runs it",
			r->host);
	free(r->authorization);
	r->authorization = header;
	r->generation++;
	return 0;
}

/* The token endpoint is another server: the same retries, and no redirects. */
static int token_request(
	struct registry *r, struct http *h, const struct http_request *q, struct arrow_error *error)
{
	_cleanup_reply_ struct http_reply reply = {0};
	struct attempts attempts = {0};
	enum http_failure failure;

	for (;;) {
		int e = http_perform(h, q, &reply, &failure, error);

		if (e < 0 && (failure != HTTP_BROKEN || !attempts_again(&attempts, r->options)))
			return arrow_error_prefix(error, e, "cannot get a token for %s", r->host);
		attempts.wait_s = e == 0 ? reply.retry_after : 0;
		if (e == 0 && ((reply.status != 429 && reply.status < 500) ||
				      !attempts_again(&attempts, r->options)))
			break;
		http_reply_release(&reply);
		arrow_error_clear(error);
	}
	if (reply.status == 400 || reply.status == 401 || reply.status == 403)
		return token_fail_refused(r, error);
	if (!reply_is_success(reply.status))
		return registry_fail(r, "a token", &reply, error);
	return take_token(r, &reply, error);
}

/* Docker's token specification: GET with the scopes, by Basic if there is a user. */
static int token_get(
	struct registry *r, struct http *h, const struct challenge *c, struct arrow_error *error)
{
	_cleanup_free_ char *basic = NULL, *query = strdup(""), *url = NULL;
	struct http_request q = {.method = "GET", .limit = TOKEN_ANSWER_MAX};
	int e = query ? 0 : -ENOMEM;

	if (e == 0 && r->credentials.username) {
		basic = basic_header(&r->credentials);
		e = basic ? add_field(&query, "account", r->credentials.username) : -ENOMEM;
	}
	if (e == 0 && c->service)
		e = add_field(&query, "service", c->service);
	if (e == 0)
		e = add_scopes(&query, r->scopes, false);
	if (e < 0)
		return arrow_no_memory(error);
	url = path_format("%s%s%s", c->realm, strchr(c->realm, '?') ? "&" : "?", query);
	if (!url)
		return arrow_no_memory(error);
	q.url = url;
	q.authorization = basic;
	return token_request(r, h, &q, error);
}

/* Docker's OAuth 2 specification: POST with an identity token. */
static int token_refresh(
	struct registry *r, struct http *h, const struct challenge *c, struct arrow_error *error)
{
	static const char *const headers[] = {
		"Content-Type: application/x-www-form-urlencoded", NULL};
	_cleanup_free_ char *form = strdup("");
	struct http_request q = {.method = "POST",
		.url = c->realm,
		.headers = headers,
		.has_body = true,
		.limit = TOKEN_ANSWER_MAX};
	int e = form ? 0 : -ENOMEM;

	if (e == 0)
		e = add_field(&form, "grant_type", "refresh_token");
	if (e == 0)
		e = add_field(&form, "client_id", "arrow");
	if (e == 0 && c->service)
		e = add_field(&form, "service", c->service);
	if (e == 0)
		e = add_scopes(&form, r->scopes ? r->scopes : "", true);
	if (e == 0)
		e = add_field(&form, "refresh_token", r->credentials.token);
	if (e < 0)
		return arrow_no_memory(error);
	q.body = form;
	q.body_size = strlen(form);
	e = token_request(r, h, &q, error);
	OPENSSL_cleanse(form, strlen(form));
	return e;
}

int registry_authenticate(struct registry *r, struct http *h, const struct challenge *c,
	unsigned int generation, struct arrow_error *error)
{
	int e = 0;

	pthread_mutex_lock(&r->lock);
	if (generation != r->generation) {
		/* Another thread was quicker. */
	} else if (c->bearer) {
		e = check_realm(r, c->realm, error);
		if (e == 0 && widen_scopes(r, c->scope) < 0)
			e = arrow_no_memory(error);
		if (e == 0)
			e = r->credentials.token ? token_refresh(r, h, c, error)
						 : token_get(r, h, c, error);
	} else if (c->basic && r->credentials.username && !r->authorization) {
		r->authorization = basic_header(&r->credentials);
		e = r->authorization ? 0 : arrow_no_memory(error);
		r->generation++;
	} else if (c->basic) {
		e = token_fail_refused(r, error);
	} else {
		e = arrow_fail(error, EPROTO,
			"%s refuses access and offers no login method that Arrow knows; it should offer Bearer or Basic",
			r->host);
	}
	pthread_mutex_unlock(&r->lock);
	return e;
}
