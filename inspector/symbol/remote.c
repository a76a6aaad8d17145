/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * remote: how long a debuginfod server may keep us waiting.
 *
 * libdwfl asks the servers of DEBUGINFOD_URLS for each file that is nowhere else, one after the other, and
 * waits for each as long as DEBUGINFOD_TIMEOUT says, 90 s by default. Somebody in an incident has ten
 * minutes: so a server may be silent, or say no, for BUDGET_NS in all, whoever asks; one that lets
 * a request time out has had its turn as well. Time in which a file comes does not count.
 *
 * Two things of libdebuginfod are relied on: it calls a progress function about once a second, which may
 * end the request, and it asks nobody when the variable is empty. That is made so in place and for the
 * moment: a debugger that we are inside of asks for itself.
 */
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/fmt.h"
#include "base/log.h"
#include "symbol/symbols_priv.h"

#define NS_PER_S  UINT64_C(1000000000)
#define BUDGET_NS (10 * NS_PER_S)

/* Of elfutils 0.188; without it a request takes as long as it takes. */
struct debuginfod_client *dwfl_get_debuginfod_client(Dwfl *dwfl) __attribute__((weak));

typedef int (*progress_fn)(struct debuginfod_client *client, long a, long b);
typedef void (*set_progress_fn)(struct debuginfod_client *client, progress_fn fn);

/* They outlive a snapshot: the next one would wait for the same server. */
static atomic_ullong waited_ns;
static atomic_bool given_up;

static _Thread_local uint64_t deadline_ns;

/* b: how much there is to come, 0 as long as nobody has answered. */
static int progress(struct debuginfod_client *client, long a, long b)
{
	(void)client;
	(void)a;
	return insp_interrupted() || (b <= 0 && insp_now_ns() >= deadline_ns);
}

static void watch(Dwfl *dwfl)
{
	struct debuginfod_client *client = dwfl_get_debuginfod_client ? dwfl_get_debuginfod_client(dwfl) : NULL;
	void *library = client ? dlopen("libdebuginfod.so.1", RTLD_LAZY | RTLD_NOLOAD) : NULL;
	set_progress_fn set = library ? (set_progress_fn)dlsym(library, "debuginfod_set_progressfn") : NULL;

	if (set)
		set(client, progress);
	if (library)
		(void)dlclose(library); /* libdw has it open */
}

/* After so long a request of which nothing came has timed out. */
static uint64_t timeout_ns(void)
{
	const char *text = getenv("DEBUGINFOD_TIMEOUT");
	uint64_t s;

	return text && !insp_parse_u64(text, &s, NULL) && s < BUDGET_NS / NS_PER_S ? s * NS_PER_S : BUDGET_NS;
}

void insp_remote_begin(struct insp_remote *remote, Dwfl *dwfl)
{
	*remote = (struct insp_remote){.urls = getenv("DEBUGINFOD_URLS")};
	if (!remote->urls || !remote->urls[0])
		return;
	if (atomic_load(&given_up)) {
		remote->first = remote->urls[0];
		remote->urls[0] = '\0';
		return;
	}
	remote->begin_ns = insp_now_ns();
	deadline_ns = remote->begin_ns + BUDGET_NS - atomic_load(&waited_ns);
	watch(dwfl);
}

void insp_remote_end(struct insp_remote *remote, bool found)
{
	uint64_t took;

	if (remote->first)
		remote->urls[0] = remote->first;
	if (!remote->begin_ns || found || insp_interrupted())
		return;
	took = insp_now_ns() - remote->begin_ns;
	if (atomic_fetch_add(&waited_ns, took) + took < BUDGET_NS && took < timeout_ns())
		return;
	if (!atomic_exchange(&given_up, true))
		insp_log(INSP_LOG_WARN, "DEBUGINFOD_URLS: waited for %.1f s in vain, so nobody is asked any more; "
					"names may be missing", (double)atomic_load(&waited_ns) / NS_PER_S);
}
