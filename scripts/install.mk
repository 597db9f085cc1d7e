# install.mk - included by the Makefile. What goes where under $(DESTDIR)$(PREFIX); each place can be
# set on the command line. Man pages get their version and date here.
BINDIR        ?= $(PREFIX)/bin
LIBDIR        ?= $(PREFIX)/lib
INCLUDEDIR    ?= $(PREFIX)/include
MANDIR        ?= $(PREFIX)/share/man
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions
TEMPLATEDIR   ?= $(PREFIX)/share/tessera

HEADERS    := $(sort $(wildcard lib/*.h lib/*/*.h))
TEMPLATES  := $(sort $(wildcard scripts/templates/*))
MAN_SRC    := $(sort $(wildcard man/*.[1-8]))
COMPLETION := $(O)/tessera.bash-completion
PC         := $(O)/tessera.pc

completion: $(COMPLETION)
$(COMPLETION): $(BIN) scripts/completion
	scripts/completion $(BIN) > $@

# The library's own dependencies: whoever links libtessera.a needs them too.
$(PC): Makefile scripts/install.mk
	@mkdir -p $(@D)
	printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(LIBDIR)' 'includedir=$(INCLUDEDIR)/tessera' '' 'Name: tessera' \
	    'Description: move what a neural network has learnt into another one' 'Version: $(VERSION)' \
	    'Requires: $(PACKAGES)' 'Libs: -L$${libdir} -ltessera -lpthread -lm' 'Cflags: -I$${includedir}' > $@

install: $(BIN) $(LIB) $(COMPLETION) $(PC)
	$(INSTALL) -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(COMPLETIONDIR) $(DESTDIR)$(TEMPLATEDIR)
	$(INSTALL) -m 644 $(TEMPLATES) $(DESTDIR)$(TEMPLATEDIR)
	$(INSTALL) -m 755 $(BIN) $(DESTDIR)$(BINDIR)
	$(INSTALL) -m 644 $(LIB) $(DESTDIR)$(LIBDIR)
	$(INSTALL) -m 644 $(PC) $(DESTDIR)$(LIBDIR)/pkgconfig
	@for h in $(HEADERS:lib/%=%); do \
	    $(INSTALL) -d $(DESTDIR)$(INCLUDEDIR)/tessera/$$(dirname $$h) && \
	    $(INSTALL) -m 644 lib/$$h $(DESTDIR)$(INCLUDEDIR)/tessera/$$h || exit 1; done
	@for m in $(MAN_SRC); do d=$(DESTDIR)$(MANDIR)/man$${m##*.}; \
	    $(INSTALL) -d $$d && sed 's/@VERSION@/$(VERSION)/g; s/@DATE@/$(DATE)/g' $$m > $$d/$${m##*/} && \
	    chmod 644 $$d/$${m##*/} || exit 1; done
	@for b in $(notdir $(BIN)); do $(INSTALL) -m 644 $(COMPLETION) $(DESTDIR)$(COMPLETIONDIR)/$$b || exit 1; done

uninstall:
	rm -f $(BIN:$(O)/bin/%=$(DESTDIR)$(BINDIR)/%) $(DESTDIR)$(LIBDIR)/libtessera.a $(DESTDIR)$(LIBDIR)/pkgconfig/tessera.pc
	rm -f $(BIN:$(O)/bin/%=$(DESTDIR)$(COMPLETIONDIR)/%)
	rm -f $(foreach m,$(MAN_SRC),$(DESTDIR)$(MANDIR)/man$(patsubst .%,%,$(suffix $(m)))/$(notdir $(m)))
	rm -rf $(DESTDIR)$(INCLUDEDIR)/tessera
	rm -f $(TEMPLATES:scripts/templates/%=$(DESTDIR)$(TEMPLATEDIR)/%)
