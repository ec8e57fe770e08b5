-- One row for each track that was bought, in the columns that `usage.toml` reads.
select InvoiceLineId, CustomerId, InvoiceDate, Quantity
from InvoiceLine
join Invoice on Invoice.InvoiceId = InvoiceLine.InvoiceId
order by InvoiceLineId
