-- One row for each track that was bought: how many, by whom and when.
select InvoiceLineId as usage_id, Invoice.InvoiceId as invoice_id, CustomerId as customer_id, Quantity as quantity,
       InvoiceDate as occurred_at
from InvoiceLine
join Invoice on Invoice.InvoiceId = InvoiceLine.InvoiceId
order by InvoiceLineId
