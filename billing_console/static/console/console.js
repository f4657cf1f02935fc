/* Keys, dialogs, and what the kit does not offer to keyboard and screen reader. Plain script, no build step. */
(() => {
    "use strict";

    const FIELDS = "input, textarea, select, [contenteditable='true']";
    const isVisible = (element) => element.getClientRects().length > 0;
    const isOn = () => document.querySelector("meta[name='bc-single-keys']")?.content === "on";

    // --- the kit's clickable spans become buttons ---

    const LABELS = [
        ["sidebarDesktopOpen", "menu"],
        ["sidebarMobileOpen", "menu"],
        ["openUserLinks", "account"],
        ["filterOpen", "filters"],
        ["openTheme", "theme"],
        ["openModal = false", "close"],
        ["openDropdown", "choose"],
    ];
    const word = (key) => document.getElementById("bc-words")?.dataset[key] ?? "";

    const makeReachable = (root) => {
        const clickable = root.querySelectorAll("span, div, td, a:not([href]), h2");
        for (const element of clickable) {
            const does = element.getAttribute("x-on:click") ?? element.getAttribute("@click");
            if (!does || element.hasAttribute("tabindex") || element.closest("[data-bc-skip]")) continue;
            if (element.querySelector("a[href], button, input")) continue;
            element.setAttribute("tabindex", "0");
            element.setAttribute("role", "button");
            const label = LABELS.find(([part]) => does.includes(part));
            const words = element.textContent.replace(/\s+/g, " ").trim();
            const isIcon = element.matches(".material-symbols-outlined") || !words;
            if (!element.hasAttribute("aria-label") && label && (isIcon || label[0] !== "filterOpen")) {
                element.setAttribute("aria-label", word(label[1]));
            }
            element.addEventListener("keydown", (event) => {
                if (event.target !== element || !["Enter", " "].includes(event.key)) return;
                event.preventDefault();
                element.click();
                if (element.getAttribute("x-on:click")?.includes("= false")) return;
                focusPanel(element);
            });
        }
    };

    // The panel that a button opened may be anywhere in the page: the first new visible thing gets the focus.
    const focusPanel = (opener) => {
        const before = new Set(reachable());
        setTimeout(() => {
            const opened = reachable().find((element) => !before.has(element));
            if (!opened) return;
            opened.focus();
            const giveBack = (event) => {
                if (event.key !== "Escape") return;
                document.removeEventListener("keydown", giveBack, true);
                if (opened.closest("nav") && opener.getAttribute("x-on:click")?.includes("openUserLinks")) opener.click();
                setTimeout(() => opener.focus(), 50);
            };
            document.addEventListener("keydown", giveBack, true);
        }, 120);
    };

    const reachable = () =>
        [...document.querySelectorAll("a[href], button, input, select, textarea, [tabindex='0']")].filter(isVisible);

    // On a narrow screen a row becomes a card; its cells then say what they are.
    const labelCells = (root) => {
        for (const table of root.querySelectorAll(".bc-scroll:not(.bc-keep) > .bc-table")) {
            const names = [...table.querySelectorAll(":scope > thead > tr:last-child > *")].map((cell) => cell.textContent.trim());
            for (const row of table.querySelectorAll(":scope > tbody > tr, :scope > tfoot > tr")) {
                if (row.children.length !== names.length) continue;
                [...row.children].forEach((cell, index) => {
                    if (cell.matches("td") && names[index]) cell.dataset.label = names[index];
                });
            }
        }
    };

    const mendPage = () => {
        const skip = document.querySelector(".bc-skip");
        if (skip) document.body.prepend(skip); // the first stop of Tab
        const main = document.getElementById("main");
        if (main) {
            main.setAttribute("role", "main");
            main.setAttribute("tabindex", "-1");
        }
        makeReachable(document);
        for (const header of document.querySelectorAll("#result_list thead th")) {
            if (header.classList.contains("ascending")) header.setAttribute("aria-sort", "ascending");
            if (header.classList.contains("descending")) header.setAttribute("aria-sort", "descending");
        }
        labelCells(document);
        const firstRow = document.querySelector("#result_list tbody tr");
        for (const cell of firstRow?.children ?? []) {
            const name = [...cell.classList].find((part) => part.startsWith("field-"))?.slice(6);
            if (name && cell.querySelector(".bc-num")) {
                document.querySelector(`#result_list thead th.column-${name}`)?.classList.add("bc-right");
            }
        }
        const summary = document.querySelector("#content .errornote, [data-bc-errors]");
        if (summary) {
            summary.setAttribute("tabindex", "-1");
            summary.focus();
        }
    };

    // --- dialogs ---

    // One dialog serves every line: its button says what it acts on and what the fields begin with.
    const fill = (dialog, opener) => {
        const form = dialog.querySelector("form");
        if (!form || opener?.dataset?.bcDialog !== dialog.id || !opener.dataset.bcAction) return;
        form.action = opener.dataset.bcAction;
        form.reset();
        for (const [name, value] of Object.entries(JSON.parse(opener.dataset.bcFill || "{}"))) {
            const field = form.elements.namedItem(name);
            const slot = dialog.querySelector(`[data-bc-slot="${name}"]`);
            if (field) field.value = value;
            if (slot) slot.textContent = value;
        }
    };

    // One box chooses every row of its page.
    document.addEventListener("change", (event) => {
        const name = event.target.dataset?.bcChooseAll;
        if (!name) return;
        for (const box of document.querySelectorAll(`input[type="checkbox"][name="${name}"].bc-choose`)) {
            box.checked = event.target.checked;
        }
    });

    const openDialog = (id, opener) => {
        const dialog = document.getElementById(id);
        if (!dialog || dialog.open) return;
        fill(dialog, opener);
        dialog.showModal();
        dialog.querySelector("textarea, input:not([type='hidden']), select")?.focus();
        dialog.addEventListener("close", () => opener?.focus(), { once: true });
    };

    document.addEventListener("click", (event) => {
        const opener = event.target.closest("[data-bc-dialog]");
        if (opener) {
            event.preventDefault();
            openDialog(opener.dataset.bcDialog, opener);
        }
        if (event.target.closest("[data-bc-close]")) event.target.closest("dialog")?.close();
    });

    // The kit's dialog: a role, a name, the focus inside, the page behind it out of reach.
    document.addEventListener("htmx:afterSettle", (event) => {
        const modal = document.getElementById("modal-content");
        if (!modal?.contains(event.target)) {
            if (event.target?.nodeType === 1) {
                makeReachable(event.target.parentElement ?? event.target);
                labelCells(document);
            }
            return;
        }
        const opener = modal.bcOpener ?? document.activeElement;
        modal.bcOpener = opener;
        modal.setAttribute("role", "dialog");
        modal.setAttribute("aria-modal", "true");
        const title = modal.querySelector("h1");
        if (title) {
            title.id = "bc-modal-title";
            modal.setAttribute("aria-labelledby", title.id);
        }
        makeReachable(modal);
        const page = document.getElementById("page");
        if (page) page.inert = true;
        modal.querySelector("textarea, input:not([type='hidden']), select, button")?.focus();
        const watch = setInterval(() => {
            if (isVisible(modal)) return;
            clearInterval(watch);
            if (page) page.inert = false;
            delete modal.bcOpener;
            if (opener instanceof HTMLElement) opener.focus();
        }, 150);
    });

    document.addEventListener("click", (event) => {
        if (event.target.closest("[data-bc-print]")) window.print();
    });

    // Nothing can be opened on paper: what is folded is printed open, and folded again afterwards.
    addEventListener("beforeprint", () => {
        for (const details of document.querySelectorAll("#main details:not([open])")) {
            details.open = true;
            details.dataset.bcForPrint = "";
        }
    });
    addEventListener("afterprint", () => {
        for (const details of document.querySelectorAll("details[data-bc-for-print]")) {
            details.open = false;
            delete details.dataset.bcForPrint;
        }
    });

    // A form that must go once: the server refuses the second anyway, this only spares the person the message.
    document.addEventListener("submit", (event) => {
        if (!event.target.matches("[data-bc-once]") || event.defaultPrevented) return;
        if (event.target.dataset.bcSent) {
            event.preventDefault();
            return;
        }
        event.target.dataset.bcSent = "yes";
    });
    window.addEventListener("pageshow", () => {
        for (const form of document.querySelectorAll("[data-bc-sent]")) delete form.dataset.bcSent;
    });

    // --- keys ---

    const rows = () =>
        [...document.querySelectorAll(".bc-line, [data-bc-row], #result_list tbody tr")].filter(isVisible);

    const current = () => document.querySelector("[aria-current='true']:is(.bc-line, [data-bc-row], #result_list tr)");

    const move = (step) => {
        const all = rows();
        if (!all.length) return false;
        const at = all.indexOf(current());
        const next = all[Math.min(Math.max(at + step, 0), all.length - 1)];
        mark(next);
        return true;
    };

    const mark = (row) => {
        current()?.removeAttribute("aria-current");
        row.setAttribute("aria-current", "true");
        // Not the box that chooses a line: in a field the keys would write.
        (row.querySelector("summary") ?? row.querySelector("a[href], input") ?? row).focus({ preventScroll: true });
        row.scrollIntoView({ block: "nearest" });
    };

    const click = (element) => {
        if (!element || !isVisible(element) || element.disabled || element.getAttribute("aria-disabled") === "true") return false;
        element.click();
        return true;
    };

    // What acts on the marked line stands below it, behind its why, which is opened first.
    const actOnLine = (key) => {
        const button = current()?.querySelector(`[data-bc-line-key="${key}"]`);
        if (!button) return false;
        const why = current().querySelector("details");
        if (why) why.open = true;
        return click(button);
    };

    const keys = {
        j: () => move(1),
        k: () => move(-1),
        o: () => click(current()?.querySelector("summary") ?? current()?.querySelector("a[href]")),
        x: () => click(current()?.querySelector("input.action-select, input[type='checkbox']")),
        "?": () => {
            openDialog("bc-keys", document.activeElement);
            return true;
        },
    };

    document.addEventListener("keydown", (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
        if (event.target.closest?.(FIELDS) || document.querySelector("dialog[open]")) return;
        if (document.getElementById("modal-content")?.getClientRects().length) return;
        if (event.key !== "?" && !isOn()) return;
        const own = keys[event.key];
        const isDone = own
            ? own()
            : /^[a-z]$/.test(event.key) &&
              (actOnLine(event.key) ||
                  click([...document.querySelectorAll(`[data-bc-key="${event.key}"]`)].find(isVisible)));
        if (isDone) event.preventDefault(); // else the letter lands in the field that just got the focus
    });

    // --- the search: Enter opens the first hit, also where it was pressed before the hits came ---

    const FIELD = "search-input-command";
    let foundFor = null; // what the hits that are shown were looked for
    let isAwaited = false;
    const press = (field, key) => field.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));

    document.addEventListener(
        "keydown",
        (event) => {
            if (event.target.id !== FIELD) return;
            isAwaited = event.key === "Enter" && event.target.value.trim() !== "" && event.target.value !== foundFor;
            const hasHits = document.querySelector("#command-results a, #command-history a");
            if (event.key !== "Enter" || (hasHits && !isAwaited)) return;
            event.preventDefault();
            event.stopPropagation(); // the kit would open what was found before, or stumble over nothing
        },
        true,
    );
    document.addEventListener("htmx:after-swap", (event) => {
        if (event.target.id !== "command-results") return;
        const field = document.getElementById(FIELD);
        foundFor = event.detail.requestConfig?.parameters?.s ?? null;
        const opens = isAwaited && field.value === foundFor;
        if (!document.querySelector("#command-results-list a")) return;
        press(field, "ArrowDown");
        if (opens) press(field, "Enter");
    });

    // A project of Invoice Ninja is looked for among those of the client that stands on the form.
    const narrowChoices = () => {
        const client = document.getElementById("id_client");
        if (!client || !document.getElementById("id_ninja_project")) return;
        window.django?.jQuery?.ajaxPrefilter((options) => {
            if (/[?&]field_name=ninja_project(&|$)/.test(`${options.url}?${options.data ?? ""}`) && client.value)
                options.data = `${options.data ?? ""}&client=${encodeURIComponent(client.value)}`;
        });
    };

    document.addEventListener("DOMContentLoaded", () => {
        narrowChoices();
        mendPage();
        document.querySelector("[data-bc-focus]")?.focus();
    });
    // After an act on a line the page opens at that line, and so do the keys. The browser moves the focus when it
    // scrolls there, so we come after it.
    window.addEventListener("load", () => {
        const line = location.hash.startsWith("#line-") && document.getElementById(location.hash.slice(1));
        if (line) requestAnimationFrame(() => mark(line));
    });
    document.addEventListener("alpine:initialized", () => makeReachable(document));
})();
