"""The proxy: what arrives is observed, admitted or refused, held to its deadline, forwarded and judged."""
