# SPDX-License-Identifier: GPL-3.0-or-later
# meminspect: `make demo`, `make test`, `make install`; `make help` lists the rest.
#
# Variables: CC, BUILD (folder), SAN=address,undefined (sanitizers; a folder of their own),
# WERROR=1, V=1 (show commands), PREFIX, DESTDIR. Sources are found by their folder: a new file
# needs no line here. Parts with rules of their own (the companion hook, the GDB plugin) bring a
# fragment that adds to ALL, INSTALL and CLEAN.

VERSION	:= 0.1.0
BUILD	?= build
PREFIX	?= /usr/local
CC	?= gcc
CXX	?= g++
V	?= 0
Q	:= $(if $(filter 1,$(V)),,@)
say	= @$(if $(filter 1,$(V)),:,printf '  %-5s %s\n' $(1) $(2))

LIBDIR	:= $(PREFIX)/lib
INCDIR	:= $(PREFIX)/include
MANDIR	:= $(PREFIX)/share/man

PKGS	:= libdw libelf libunwind-ptrace libunwind-generic readline zlib libzstd liblz4 libxxhash
# What only the tool links, for the layers in TOOL_ONLY: not the library, not the GDB plugin.
TOOL_PKGS := sqlite3 libmicrohttpd
PKGS_OK	:= $(shell pkg-config --exists $(PKGS) $(TOOL_PKGS) 2>/dev/null && echo yes)
CPPFLAGS += -D_GNU_SOURCE -DINSP_VERSION=\"$(VERSION)\" -Iinspector -Iinclude \
	$(if $(PKGS_OK),$(shell pkg-config --cflags $(PKGS) $(TOOL_PKGS)))
CFLAGS	?= -O2 -g
WARN	:= -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
	-Wno-missing-field-initializers $(if $(filter 1,$(WERROR)),-Werror)
ALLCFLAGS = -std=gnu11 $(WARN) -fno-omit-frame-pointer $(CFLAGS)
LIBS	:= $(if $(PKGS_OK),$(shell pkg-config --libs $(PKGS))) -liberty -lpthread -lm -ldl
TOOL_LIBS := $(if $(PKGS_OK),$(shell pkg-config --libs $(TOOL_PKGS)))

ifneq ($(SAN),)
comma	:= ,
BUILD	:= $(BUILD)-$(subst $(comma),-,$(SAN))
SANFLAGS := -fsanitize=$(SAN) -fno-sanitize-recover=all
endif

# The layers, lowest first: scripts/lint/layers.sh reads this line, too.
LAYERS	:= base model target symbol stack heap site snapshot analysis report render watch command front record serve tool
# Those that the library and the GDB plugin go without. Their commands are X_TOOL rows of commands.def.
TOOL_ONLY := record serve tool
sources_of = $(foreach l,$(1),$(sort $(wildcard inspector/$(l)/*.c)))
SRCS	:= $(call sources_of,$(filter-out $(TOOL_ONLY),$(LAYERS)))
TOOL_OBJS := $(patsubst %.c,$(BUILD)/%.o,$(call sources_of,$(TOOL_ONLY)))
MAIN	:= inspector/front/main.c
LIBOBJS	:= $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(MAIN),$(SRCS)))
LIB	:= $(BUILD)/libmeminspect.a
SO	:= $(BUILD)/libmeminspect.so.$(VERSION)
TOOL_LIB := $(BUILD)/libtool-only.a
BIN	:= $(BUILD)/meminspect

UNIT_SRCS := $(sort $(wildcard tests/unit/test_*.c))
LIVE_SRCS := $(sort $(wildcard tests/live/test_*.c))
STRESS_SRCS := $(sort $(wildcard tests/stress/test_*.c))
HELP_SRCS := $(filter-out $(UNIT_SRCS),$(wildcard tests/unit/*.c))
UNITS	:= $(UNIT_SRCS:%.c=$(BUILD)/%)
LIVES	:= $(LIVE_SRCS:%.c=$(BUILD)/%)
STRESSES := $(STRESS_SRCS:%.c=$(BUILD)/%)
VICTIM_SRCS := $(sort $(wildcard tests/victims/*.c tests/victims/*.cc))
FUZZ_SRCS := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZERS	:= $(FUZZ_SRCS:%.c=$(BUILD)/%)

ALL	:= $(LIB) $(SO) $(if $(wildcard $(MAIN)),$(BIN))
CLEAN	:= $(BUILD) $(wildcard $(BUILD)-*)
# What install puts in place and uninstall takes away: MODE:FILE:WHERE.
INSTALL	:= 755:$(BIN):$(PREFIX)/bin/meminspect \
	644:$(LIB):$(LIBDIR)/libmeminspect.a \
	755:$(SO):$(LIBDIR)/libmeminspect.so.$(VERSION) \
	644:$(BUILD)/meminspect.pc:$(LIBDIR)/pkgconfig/meminspect.pc \
	644:$(BUILD)/generated/meminspect.1:$(MANDIR)/man1/meminspect.1 \
	644:$(BUILD)/generated/meminspect.bash:$(PREFIX)/share/bash-completion/completions/meminspect \
	644:$(BUILD)/generated/_meminspect:$(PREFIX)/share/zsh/site-functions/_meminspect \
	$(foreach h,$(wildcard include/meminspect/*.h),644:$(h):$(INCDIR)/meminspect/$(notdir $(h)))

.PHONY: default all test unit live golden stress lint lint-light layers hdr-check format bench \
	fuzz golden-accept demo install uninstall clean help victims tests-build force
default: all

-include inspector/hook/hook.mk
-include gdbplugin/plugin.mk

DEMO := $(if $(wildcard scripts/demo/demo-server.c),$(BUILD)/demo-server)
all: $(ALL) $(DEMO)

# ---- the library and the tool

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(ALLCFLAGS) $(SANFLAGS) -fPIC -MMD -MP -c $< -o $@

$(LIB): $(LIBOBJS)
$(TOOL_LIB): $(TOOL_OBJS)
$(LIB) $(TOOL_LIB):
	$(call say,AR,$@)
	$(Q)rm -f $@; $(AR) rcs $@ $^

# Only meminspect_* leaves it: the rest of the names is ours alone.
$(SO): $(LIBOBJS) scripts/libmeminspect.map
	$(call say,LD,$@)
	$(Q)$(CC) -shared $(SANFLAGS) $(LDFLAGS) -Wl,-soname,libmeminspect.so.0 \
		-Wl,--version-script=scripts/libmeminspect.map -o $@ $(LIBOBJS) $(LIBS)
	$(Q)ln -sf $(@F) $(BUILD)/libmeminspect.so.0; ln -sf $(@F) $(BUILD)/libmeminspect.so

$(BIN): $(MAIN:%.c=$(BUILD)/%.o) $(TOOL_OBJS) $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(SANFLAGS) $(LDFLAGS) -o $@ $^ $(TOOL_LIBS) $(LIBS)

# Rebuilds everything when compiler or flags change, and says early what is not installed.
FLAGS_NOW = $(CC) $(CPPFLAGS) $(ALLCFLAGS) $(SANFLAGS) $(LDFLAGS)
$(BUILD)/flags: force
	@$(if $(PKGS_OK),:,echo "libraries are missing; this installs them: scripts/deps.sh build" >&2; exit 1)
	@mkdir -p $(@D)
	@$(shell mkdir -p $(@D))$(file >$@.new,$(FLAGS_NOW))cmp -s $@.new $@ || cp $@.new $@; rm -f $@.new
force:

# Written by the tool from its own command table.
$(BUILD)/generated/meminspect.1: $(BIN)
	@mkdir -p $(@D)
	$(Q)$(BIN) --generate man >$@.tmp && mv $@.tmp $@
$(BUILD)/generated/meminspect.bash: $(BIN)
	@mkdir -p $(@D)
	$(Q)$(BIN) --generate bash >$@.tmp && mv $@.tmp $@
$(BUILD)/generated/_meminspect: $(BIN)
	@mkdir -p $(@D)
	$(Q)$(BIN) --generate zsh >$@.tmp && mv $@.tmp $@
$(BUILD)/meminspect.pc: scripts/meminspect.pc.in force
	@mkdir -p $(@D)
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' -e 's|@PKGS@|$(PKGS)|' $< >$@

# ---- tests

TESTLINK = $(Q)$(CC) $(SANFLAGS) $(LDFLAGS) -o $@ $^ $(TOOL_LIBS) $(LIBS) -lcmocka
$(BUILD)/tests/unit/test_%: $(BUILD)/tests/unit/test_%.o $(HELP_SRCS:%.c=$(BUILD)/%.o) $(TOOL_LIB) $(LIB)
	$(call say,LD,$@)
	$(TESTLINK)
$(BUILD)/tests/live/test_%: $(BUILD)/tests/live/test_%.o $(HELP_SRCS:%.c=$(BUILD)/%.o) $(TOOL_LIB) $(LIB)
	$(call say,LD,$@)
	$(TESTLINK)
$(BUILD)/tests/stress/test_%: $(BUILD)/tests/stress/test_%.o $(HELP_SRCS:%.c=$(BUILD)/%.o) $(TOOL_LIB) $(LIB)
	$(call say,LD,$@)
	$(TESTLINK)

# Victims are ordinary programs: no sanitizer and gcc, whatever SAN and CC say.
# tests/victims/README.md tells how a source asks for other flags and for variants.
VICTIM_CC ?= gcc
VICTIMS	:= $(BUILD)/victims
VICTIM_BUILD = CC='$(VICTIM_CC)' CXX='$(CXX)' V=$(V) scripts/victim.sh
$(VICTIMS)/.built-%: tests/victims/% scripts/victim.sh $(wildcard tests/victims/*.h)
	@mkdir -p $(@D)
	$(Q)$(VICTIM_BUILD) $< $(VICTIMS) && touch $@
victims: $(VICTIM_SRCS:tests/victims/%=$(VICTIMS)/.built-%) $(DEMO)

$(BUILD)/demo-server: scripts/demo/demo-server.c $(BUILD)/flags
	$(call say,CC,$<)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -O1 -g -fno-omit-frame-pointer \
		-fno-optimize-sibling-calls -o $@ $< -lpthread

tests-build: all victims $(UNITS) $(LIVES)
RUN	= BUILD=$(abspath $(BUILD)) MEMINSPECT=$(abspath $(BIN)) VICTIMS=$(abspath $(VICTIMS)) \
	SAN='$(SAN)' tests/run.sh

# The packages come first; a second make then sees their flags.
KINDS	?= unit live golden lint
test:
	@scripts/deps.sh build test
	@$(MAKE) --no-print-directory tests-build
	@$(RUN) $(KINDS)
unit: $(UNITS)
	@$(RUN) unit
live: all victims $(LIVES)
	@$(RUN) live
golden: all victims
	@$(RUN) golden
golden-accept: all victims
	@GOLDEN_ACCEPT=1 $(RUN) golden
stress: all victims $(LIVES) $(STRESSES)
	@TEST_TIMEOUT=3600 $(RUN) stress

# clang's libFuzzer, FUZZ_TIME seconds each; a crash leaves its input in $(BUILD)/fuzz.
FUZZ_TIME ?= 60
fuzz:
	@scripts/deps.sh build ci
	@$(MAKE) --no-print-directory CC=clang BUILD=$(BUILD)-fuzz \
		CFLAGS='-O1 -g -fsanitize=fuzzer-no-link,address,undefined' fuzzers
	@BUILD=$(BUILD)-fuzz FUZZ_TIME=$(FUZZ_TIME) tests/fuzz/run.sh
.PHONY: fuzzers
fuzzers: $(FUZZERS)
$(BUILD)/tests/fuzz/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(HELP_SRCS:%.c=$(BUILD)/%.o) $(TOOL_LIB) $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) -fsanitize=fuzzer,address,undefined -o $@ $^ $(TOOL_LIBS) $(LIBS) -lcmocka

# ---- the house

lint:
	@scripts/deps.sh build lint
	@BUILD=$(BUILD) MEMINSPECT=$(abspath $(BIN)) scripts/lint.sh
lint-light:
	@BUILD=$(BUILD) MEMINSPECT=$(abspath $(BIN)) scripts/lint.sh --light
layers:
	@scripts/lint/layers.sh
hdr-check:
	@scripts/lint/headers.sh
format:
	@scripts/lint/format.sh --fix

bench:
	@$(MAKE) --no-print-directory all
	@BUILD=$(abspath $(BUILD)) MEMINSPECT=$(abspath $(BIN)) scripts/bench/bench.sh

demo:
	@scripts/deps.sh build
	@$(MAKE) --no-print-directory all
	@BUILD=$(abspath $(BUILD)) MEMINSPECT=$(abspath $(BIN)) scripts/demo/demo.sh

# ---- installation

field	= $(word $(1),$(subst :, ,$(2)))
install: all $(foreach i,$(INSTALL),$(call field,2,$(i)))
	$(Q)$(foreach i,$(INSTALL),install -D -m $(call field,1,$(i)) $(call field,2,$(i)) \
		'$(DESTDIR)$(call field,3,$(i))' &&) :
	$(Q)ln -sf libmeminspect.so.$(VERSION) '$(DESTDIR)$(LIBDIR)/libmeminspect.so.0'
	$(Q)ln -sf libmeminspect.so.0 '$(DESTDIR)$(LIBDIR)/libmeminspect.so'
	$(Q)[ -n '$(DESTDIR)' ] || ldconfig 2>/dev/null || :
uninstall:
	$(Q)rm -f $(foreach i,$(INSTALL),'$(DESTDIR)$(call field,3,$(i))') \
		'$(DESTDIR)$(LIBDIR)/libmeminspect.so.0' '$(DESTDIR)$(LIBDIR)/libmeminspect.so'
	$(Q)rmdir '$(DESTDIR)$(INCDIR)/meminspect' 2>/dev/null || :

clean:
	rm -rf $(CLEAN)

help:
	@echo 'make             the tool (build/meminspect) and the library'
	@echo 'make demo        installs what is missing, builds, shows the tool on an example server'
	@echo 'make test        installs what is missing, builds, runs unit, live, golden, light lint'
	@echo '  unit live golden   one kind of it; ONLY=pattern picks tests by name'
	@echo '  golden-accept      rewrites the expected output of the golden tests'
	@echo '  stress             the long tests: storms, kills, exec'
	@echo '  fuzz               the parsers on hostile bytes (FUZZ_TIME=60 seconds each)'
	@echo 'make lint        all house rules; layers, hdr-check: one of them; format: mend the diff'
	@echo 'make bench       the speed and memory figures of the README'
	@echo 'make install     PREFIX=/usr/local DESTDIR=; uninstall takes it away'
	@echo 'make clean'
	@echo 'With SAN=address,undefined, CC=clang, WERROR=1, V=1, BUILD=folder.'

DEPFILES := $(shell find $(BUILD) -name '*.d' 2>/dev/null)
-include $(DEPFILES)
.SECONDARY:
.DELETE_ON_ERROR:
