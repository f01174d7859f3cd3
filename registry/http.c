// SPDX-License-Identifier: Apache-2.0
#include "registry/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "registry/tls.h"
#include "util/cleanup.h"
#include "util/io.h"

#define HEADERS_MAX (64u * 1024) /* bytes of all headers of an answer */
#define RETRY_AFTER_MAX 3600
#define SLOW_BYTES 1L /* a second; less than this is standing still */

/* libcurl wants certificates set for each transfer; they are read once a host. */
struct host {
	char *name;
	struct tls_files tls;
	struct host *next;
};

struct http {
	CURL *curl;
	const struct http_options *options;
	struct host *hosts;
	char *user_agent;
};

/* One exchange that runs. */
struct exchange {
	const struct http_options *options;
	const struct http_request *request;
	struct http_reply *reply;
	const char *url;
	CURL *curl;
	size_t header_bytes;
	size_t room; /* of reply->body */
	uint64_t sent;
	bool begun;
	int stop;    /* negative errno with which we ended it */
	int refused; /* the same, from begin() or sink(), which have set the error */
};

int http_setup(struct arrow_error *error)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return arrow_fail(error, EIO, "cannot start libcurl; is it damaged?");
	return 0;
}

struct http *http_new(const struct http_options *options)
{
	struct http *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->options = options;
	h->curl = curl_easy_init();
	h->user_agent = path_format("arrow/%s", ARROW_VERSION);
	if (!h->curl || !h->user_agent) {
		http_free(h);
		return NULL;
	}
	return h;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	while (h->hosts) {
		struct host *next = h->hosts->next;

		tls_release(&h->hosts->tls);
		free(h->hosts->name);
		free(h->hosts);
		h->hosts = next;
	}
	curl_easy_cleanup(h->curl);
	free(h->user_agent);
	free(h);
}

/* The system's authorities, as Go's programs find them, too. */
static const char *system_authorities(const struct registry_settings *settings)
{
	return settings->authorities ? settings->authorities
				     : curl_version_info(CURLVERSION_NOW)->cainfo;
}

static int find_host(
	struct http *h, const char *url, const struct host **found, struct arrow_error *error)
{
	_cleanup_free_ char *name = http_url_host(url);
	struct host *host;
	int e;

	if (!name)
		return arrow_fail(error, EPROTO, "%s is not a URL of http or https", url);
	for (host = h->hosts; host; host = host->next) {
		if (strcmp(host->name, name) == 0) {
			*found = host;
			return 0;
		}
	}
	host = calloc(1, sizeof(*host));
	if (!host)
		return arrow_no_memory(error);
	e = tls_find(&host->tls, &h->options->settings, name,
		system_authorities(&h->options->settings), error);
	if (e < 0) {
		free(host);
		return e;
	}
	host->name = STEAL(name);
	host->next = h->hosts;
	h->hosts = host;
	*found = host;
	return 0;
}

/* A header's value without spaces around, NULL if it is empty or has control characters. */
static char *value_text(const char *value, size_t size)
{
	while (size > 0 && (*value == ' ' || *value == '\t')) {
		value++;
		size--;
	}
	while (size > 0 && strchr(" \t\r\n", value[size - 1]))
		size--;
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)value[i] < ' ' || value[i] == 0x7f)
			return NULL;
	return size ? strndup(value, size) : NULL;
}

/* Decimal digits and nothing else; -1 for what is not that or too large. */
static int64_t http_parse_number(const char *text, size_t size)
{
	int64_t n = 0;

	if (size == 0 || size > 18)
		return -1;
	for (size_t i = 0; i < size; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		n = n * 10 + (text[i] - '0');
	}
	return n;
}

/* A URL that may be relative to the one that was asked. */
static char *http_make_absolute(const char *base, const char *text)
{
	CURLU *u = curl_url();
	char *url = NULL, *copy = NULL;

	if (u && curl_url_set(u, CURLUPART_URL, base, 0) == CURLUE_OK &&
		curl_url_set(u, CURLUPART_URL, text, 0) == CURLUE_OK &&
		curl_url_get(u, CURLUPART_URL, &url, 0) == CURLUE_OK)
		copy = strdup(url);
	curl_free(url);
	curl_url_cleanup(u);
	return copy;
}

static void set_text(char **place, char *text)
{
	free(*place);
	*place = text;
}

/* Link: <URL>; rel="next" (RFC 8288). */
static char *parse_link(const char *base, const char *text)
{
	const char *open = strchr(text, '<'), *close = open ? strchr(open, '>') : NULL;
	_cleanup_free_ char *url = NULL;

	/* Some leave the quotes out, or say nothing of what it is. */
	if (!close || (strstr(close, "rel=") && !strstr(close, "rel=\"next\"") &&
			      !strstr(close, "rel=next")))
		return NULL;
	url = strndup(open + 1, (size_t)(close - open - 1));
	return url ? http_make_absolute(base, url) : NULL;
}

static void take_header(struct exchange *x, const char *name, size_t size, char *value)
{
	struct http_reply *r = x->reply;
	size_t n = strlen(value);
	const char *dash;

#define IS(text) (size == strlen(text) && strncasecmp(name, text, size) == 0)
	if (IS("Location")) {
		set_text(&r->location, http_make_absolute(x->url, value));
	} else if (IS("Content-Type")) {
		value[strcspn(value, "; \t")] = '\0';
		set_text(&r->type, strdup(value));
	} else if (IS("Docker-Content-Digest")) {
		set_text(&r->digest, strdup(value));
	} else if (IS("OCI-Subject")) {
		set_text(&r->subject, strdup(value));
	} else if (IS("Link") && !r->link) {
		r->link = parse_link(x->url, value);
	} else if (IS("WWW-Authenticate")) {
		if (challenge_add(&r->challenge, value, n) < 0)
			x->stop = -ENOMEM;
	} else if (IS("Retry-After")) {
		r->retry_after = http_parse_number(value, n);
		if (r->retry_after < 0) {
			time_t when = curl_getdate(value, NULL), now = time(NULL);

			r->retry_after = when > now ? when - now : -1;
		}
		if (r->retry_after > RETRY_AFTER_MAX)
			r->retry_after = RETRY_AFTER_MAX;
	} else if (IS("Content-Length")) {
		r->length = http_parse_number(value, n);
	} else if (IS("Content-Range")) {
		if (strncasecmp(value, "bytes ", 6) == 0)
			r->range_start =
				http_parse_number(value + 6, strspn(value + 6, "0123456789"));
	} else if (IS("Range")) {
		dash = strchr(value, '-');
		if (dash)
			r->range_end = http_parse_number(dash + 1, strlen(dash + 1));
	} else if (IS("OCI-Chunk-Min-Length")) {
		int64_t min = http_parse_number(value, n);

		r->chunk_min = min > 0 ? min : 0;
	}
#undef IS
}

static void reply_clear(struct http_reply *r)
{
	http_reply_release(r);
	r->retry_after = r->length = r->range_start = r->range_end = -1;
}

static size_t on_header(char *data, size_t one, size_t size, void *arg)
{
	struct exchange *x = arg;
	const char *colon = memchr(data, ':', size);
	_cleanup_free_ char *value = NULL;

	x->header_bytes += size;
	if (x->header_bytes > HEADERS_MAX) {
		x->stop = -EMSGSIZE;
		return 0;
	}
	/* Another answer begins: 100 Continue was the one before. */
	if (size > 5 && strncasecmp(data, "HTTP/", 5) == 0)
		reply_clear(x->reply);
	if (!colon)
		return size;
	value = value_text(colon + 1, size - (size_t)(colon + 1 - data));
	if (value)
		take_header(x, data, (size_t)(colon - data), value);
	return x->stop ? 0 : size;
}

static int begin_body(struct exchange *x)
{
	long status = 0;

	if (x->begun)
		return 0;
	x->begun = true;
	curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
	x->reply->status = (int)status;
	return x->request->begin ? x->request->begin(x->reply, x->request->arg) : 0;
}

static int keep_body(struct exchange *x, const char *data, size_t size)
{
	struct http_reply *r = x->reply;

	if (size > x->request->limit || r->size > x->request->limit - size)
		return -EMSGSIZE;
	if (r->size + size + 1 > x->room) {
		size_t room = (r->size + size) * 2 + 4096;
		char *body = realloc(r->body, room);

		if (!body)
			return -ENOMEM;
		r->body = body;
		x->room = room;
	}
	memcpy(r->body + r->size, data, size);
	r->size += size;
	r->body[r->size] = '\0';
	return 0;
}

static size_t on_body(char *data, size_t one, size_t size, void *arg)
{
	struct exchange *x = arg;
	int status;

	x->refused = begin_body(x);
	status = x->reply->status;
	if (x->refused == 0 && x->request->sink && (status == 200 || status == 206))
		x->refused = x->request->sink(data, size, x->request->arg);
	else if (x->refused == 0)
		x->stop = keep_body(x, data, size);
	return x->stop || x->refused ? 0 : size;
}

static size_t on_read(char *to, size_t one, size_t size, void *arg)
{
	struct exchange *x = arg;
	const struct http_request *q = x->request;
	uint64_t left = q->body_size - x->sent;
	ssize_t n;

	if (size > left)
		size = (size_t)left;
	if (size == 0)
		return 0;
	if (q->body) {
		memcpy(to, (const char *)q->body + x->sent, size);
		n = (ssize_t)size;
	} else {
		do
			n = pread(q->body_fd, to, size, (off_t)(q->body_at + x->sent));
		while (n < 0 && errno == EINTR);
	}
	if (n <= 0) {
		x->stop = n < 0 ? -errno : -EIO;
		return CURL_READFUNC_ABORT;
	}
	x->sent += (uint64_t)n;
	if (q->sent)
		q->sent(x->sent, q->arg);
	return (size_t)n;
}

static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct exchange *x = arg;

	if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > x->request->body_size)
		return CURL_SEEKFUNC_CANTSEEK;
	x->sent = (uint64_t)offset;
	return CURL_SEEKFUNC_OK;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	struct exchange *x = arg;

	if (x->options->cancel && *x->options->cancel)
		x->stop = -ECANCELED;
	return x->stop != 0;
}

/* What a failure of libcurl is to the user. */
static int http_explain(const struct exchange *x, CURLcode code, const char *words,
	enum http_failure *failure, struct arrow_error *error)
{
	_cleanup_free_ char *host = http_url_host(x->url);
	const char *name = host ? host : x->url;

	*failure = HTTP_BROKEN;
	switch ((int)code) {
	case CURLE_COULDNT_RESOLVE_HOST:
		return arrow_fail(error, EHOSTUNREACH,
			"cannot find the host %s; check its name and the network", name);
	case CURLE_COULDNT_CONNECT:
		return arrow_fail(error, ECONNREFUSED,
			"cannot connect to %s: %s; is it running and reachable?", name, words);
	case CURLE_OPERATION_TIMEDOUT:
		return arrow_fail(error, ETIMEDOUT,
			"%s did not answer or stood still for %u s; try again, or set ARROW_REGISTRY_TIMEOUT to more seconds",
			name, x->options->stall);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ISSUER_ERROR:
		*failure = HTTP_FAILED;
		return arrow_fail(error, EKEYREJECTED,
			"the certificate of %s is not trusted: %s; if it is your own, put the certificate of its authority in " TLS_CERTS_DIR
			"/%s/ca.crt, or use --tls-verify=false",
			name, words, name);
	case CURLE_SSL_CONNECT_ERROR:
		*failure = HTTP_NO_TLS;
		return arrow_fail(error, EPROTO,
			"%s does not speak TLS as it should: %s; for plain HTTP use --tls-verify=false",
			name, words);
	case CURLE_SSL_CERTPROBLEM:
		*failure = HTTP_FAILED;
		return arrow_fail(error, EKEYREJECTED,
			"cannot use our own certificate for %s: %s; look at " TLS_CERTS_DIR "/%s",
			name, words, name);
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_URL_MALFORMAT:
		*failure = HTTP_FAILED;
		return arrow_fail(error, EPROTO, "%s is not a URL of http or https", x->url);
	case CURLE_OUT_OF_MEMORY:
		*failure = HTTP_FAILED;
		return arrow_no_memory(error);
	default:
		return arrow_fail(error, ECONNRESET, "the connection to %s broke: %s", name, words);
	}
}

static int set_options(
	struct http *h, struct exchange *x, const struct host *host, struct curl_slist *headers)
{
	const struct http_request *q = x->request;
	CURL *c = h->curl;
	long stall = (long)h->options->stall;
	CURLcode r = CURLE_OK;

	curl_easy_reset(c); /* connections stay open */
#define SET(option, value) r = r == CURLE_OK ? curl_easy_setopt(c, option, value) : r
	SET(CURLOPT_URL, q->url);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_USERAGENT, h->user_agent);
	SET(CURLOPT_HTTPHEADER, headers);
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_CONNECTTIMEOUT, stall);
	SET(CURLOPT_LOW_SPEED_LIMIT, SLOW_BYTES);
	SET(CURLOPT_LOW_SPEED_TIME, stall);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, x);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, x);
	SET(CURLOPT_XFERINFOFUNCTION, on_progress);
	SET(CURLOPT_XFERINFODATA, x);
	SET(CURLOPT_NOPROGRESS, 0L);
	SET(CURLOPT_BUFFERSIZE, 256L * 1024);
	if (h->options->insecure) {
		SET(CURLOPT_SSL_VERIFYPEER, 0L);
		SET(CURLOPT_SSL_VERIFYHOST, 0L);
	} else if (host->tls.authorities) {
		struct curl_blob blob = {host->tls.authorities, host->tls.size, CURL_BLOB_COPY};

		SET(CURLOPT_CAINFO_BLOB, &blob);
	} else if (system_authorities(&h->options->settings)) {
		SET(CURLOPT_CAINFO, system_authorities(&h->options->settings));
	}
	if (http_is_loopback(host->name))
		SET(CURLOPT_PROXY, ""); /* a proxy's loopback is another one */
	if (host->tls.cert) {
		SET(CURLOPT_SSLCERT, host->tls.cert);
		SET(CURLOPT_SSLKEY, host->tls.key);
	}
	if (strcmp(q->method, "HEAD") == 0) {
		SET(CURLOPT_NOBODY, 1L);
	} else if (q->has_body || q->body_size > 0) {
		SET(CURLOPT_UPLOAD, 1L);
		SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)q->body_size);
		SET(CURLOPT_READFUNCTION, on_read);
		SET(CURLOPT_READDATA, x);
		SET(CURLOPT_SEEKFUNCTION, on_seek);
		SET(CURLOPT_SEEKDATA, x);
	}
	if (strcmp(q->method, "HEAD") != 0)
		SET(CURLOPT_CUSTOMREQUEST, q->method);
#undef SET
	return r == CURLE_OK ? 0 : -ENOMEM;
}

static int add_header(struct curl_slist **list, const char *header)
{
	struct curl_slist *longer = header ? curl_slist_append(*list, header) : NULL;

	if (!longer)
		return -ENOMEM;
	*list = longer;
	return 0;
}

static int make_headers(const struct http_request *q, struct curl_slist **list)
{
	int e = 0;

	for (size_t i = 0; e == 0 && q->headers && q->headers[i]; i++)
		e = add_header(list, q->headers[i]);
	if (e == 0 && q->authorization) {
		_cleanup_free_ char *line = path_format("Authorization: %s", q->authorization);

		e = add_header(list, line);
	}
	/* A server that refuses a body may say so before it is sent; but none has to wait. */
	if (e == 0 && (q->has_body || q->body_size > 0) && q->body_size < 1u << 20)
		e = add_header(list, "Expect:");
	return e;
}

int http_perform(struct http *h, const struct http_request *q, struct http_reply *reply,
	enum http_failure *failure, struct arrow_error *error)
{
	struct exchange x = {.options = h->options,
		.request = q,
		.reply = reply,
		.url = q->url,
		.curl = h->curl};
	struct curl_slist *headers = NULL;
	const struct host *host = NULL;
	char words[CURL_ERROR_SIZE] = "";
	CURLcode code;
	int e;

	*failure = HTTP_FAILED;
	*reply = (struct http_reply){0};
	reply_clear(reply);
	e = find_host(h, q->url, &host, error);
	if (e < 0)
		return e;
	if (make_headers(q, &headers) < 0 || set_options(h, &x, host, headers) < 0) {
		curl_slist_free_all(headers);
		return arrow_no_memory(error);
	}
	curl_easy_setopt(h->curl, CURLOPT_ERRORBUFFER, words);
	code = curl_easy_perform(h->curl);
	curl_easy_setopt(h->curl, CURLOPT_ERRORBUFFER, NULL);
	curl_slist_free_all(headers);

	if (code == CURLE_OK)
		x.refused = begin_body(&x);
	else if (x.stop == 0 && x.refused == 0)
		e = http_explain(
			&x, code, words[0] ? words : curl_easy_strerror(code), failure, error);
	if (x.refused < 0)
		e = x.refused;
	else if (x.stop == -EMSGSIZE)
		e = x.header_bytes > HEADERS_MAX
			    ? arrow_fail(error, EMSGSIZE,
				      "the headers of an answer of %s are larger than %u bytes",
				      host->name, HEADERS_MAX)
			    : arrow_fail(error, EMSGSIZE,
				      "an answer of %s is larger than the %zu bytes allowed",
				      host->name, q->limit);
	else if (x.stop == -ECANCELED)
		e = arrow_fail(error, ECANCELED, "interrupted");
	else if (x.stop == -ENOMEM)
		e = arrow_no_memory(error);
	else if (x.stop < 0)
		e = arrow_fail(error, -x.stop, "cannot read what is sent to %s: %m", host->name);
	if (e < 0)
		http_reply_release(reply);
	return e;
}

void http_reply_release(struct http_reply *r)
{
	free(r->location);
	free(r->type);
	free(r->digest);
	free(r->link);
	free(r->subject);
	free(r->body);
	challenge_release(&r->challenge);
	*r = (struct http_reply){0};
}

char *http_url_host(const char *url)
{
	CURLU *u = curl_url();
	char *scheme = NULL, *host = NULL, *port = NULL, *text = NULL;

	if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
		curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
		(strcasecmp(scheme, "http") == 0 || strcasecmp(scheme, "https") == 0) &&
		curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK) {
		curl_url_get(u, CURLUPART_PORT, &port, CURLU_NO_DEFAULT_PORT);
		text = port ? path_format("%s:%s", host, port) : strdup(host);
	}
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(u);
	return text;
}

bool http_url_is_https(const char *url)
{
	return strncasecmp(url, "https://", 8) == 0;
}

bool http_is_loopback(const char *host)
{
	size_t n = strcspn(host, ":");

	if (strncmp(host, "[::1]", 5) == 0)
		return host[5] == '\0' || host[5] == ':';
	if (n == 9 && strncasecmp(host, "localhost", 9) == 0)
		return true;
	return n >= 7 && strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == n;
}

char *http_escape(const char *text)
{
	char *escaped = curl_easy_escape(NULL, text, 0);
	char *copy = escaped ? strdup(escaped) : NULL;

	curl_free(escaped);
	return copy;
}
